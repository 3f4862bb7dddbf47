"""Where sigma-cli looks for processing pipelines: modules of the namespace ``sigma.pipelines``."""

from sigma.processing.pipeline import ProcessingPipeline

from detect.search.pipeline import samlog_pipeline


def samlog() -> ProcessingPipeline:
    """Returns the pipeline for samlog's data streams."""
    return samlog_pipeline()


pipelines = {"samlog": samlog}
