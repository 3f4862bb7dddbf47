"""``samlog schema``: the configuration's JSON Schema, for editors."""

import click
import orjson

from samlog import pipeline
from samlog.errors import Exit


@click.command(
    help="\b\nExample: samlog schema > samlog.schema.json\n\n"
    "Print the JSON Schema of the configuration, with what each key means."
)
def command() -> int:
    schema = pipeline.settings_model().model_json_schema()
    click.echo(orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode())
    return Exit.DONE
