"""The life of a run: started by the page, executed by a worker process, recorded in its folder."""
