"""Supervised training shared by the methods: one Trainer, fed so that no work is spent on what is not learned."""

import torch
from transformers import PrinterCallback, Trainer, TrainingArguments

from studio.data import batch
from studio.methods.base import Job


def fit(job: Job) -> None:
    """Train `job.model` in place on `job.train`; reporting and stopping is the callbacks' work."""
    training, on_card = job.plan.training, torch.cuda.is_available()
    portion = max(1, training.batch_size // training.accumulate)
    steps_an_epoch = -(-len(job.train) // (portion * training.accumulate))
    arguments = TrainingArguments(
        output_dir=str(job.folder),
        num_train_epochs=training.epochs,
        per_device_train_batch_size=portion,
        gradient_accumulation_steps=training.accumulate,
        learning_rate=job.learning_rate,
        lr_scheduler_type=training.schedule,
        warmup_steps=int(training.warmup_share * steps_an_epoch * training.epochs),
        weight_decay=training.weight_decay,
        max_grad_norm=1.0,
        seed=training.seed,
        use_cpu=not on_card,
        bf16=on_card and torch.cuda.is_bf16_supported(),
        dataloader_pin_memory=on_card,
        # Texts of like length share a batch, so that little is padded.
        train_sampling_strategy="group_by_length",
        include_num_input_tokens_seen="non_padding",
        logging_nan_inf_filter=False,
        logging_steps=max(1, int(steps_an_epoch * training.epochs) // 500),
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    trainer = Trainer(
        model=job.model,
        args=arguments,
        train_dataset=[vars(example) for example in job.train],
        data_collator=batch.collator(job.plan.task, job.tokenizer),
        compute_loss_func=batch.loss(job.plan.task),
        processing_class=job.tokenizer,
        callbacks=job.callbacks,
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
