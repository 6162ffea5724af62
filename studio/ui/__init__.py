"""The five tabs: the only files beside app.py that know Gradio."""
