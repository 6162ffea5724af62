// Gradio 6.31 takes each input of an event that has ended for one that is streamed. From then on it tells every such
// component of every event that begins or ends, and finds each by walking through the whole page. Nothing on this
// page is streamed into an event.
(async () => {
  const bundle = await import(new URL(__STATUS_BUNDLE__, document.baseURI));
  const { prototype } = bundle.t.LoadingStatus;
  const resolve = prototype.resolve_args;
  prototype.resolve_args = function resolveOutputs(status) {
    return resolve.call(this, { ...status, stream_state: null });
  };
})();
