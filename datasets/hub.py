"""Prompts from the Hugging Face hub: `hf:name[:split[:column]]`.

The name may end in a configuration, `hf:Salesforce/wikitext/wikitext-2-raw-v1`. The
split is `train` and the column `text` unless given; the other columns are read as a
file's are. Rows without text are skipped, like blank lines: corpora are full of them.

Needs the extra `flowglass[hub]`, Hugging Face's package `datasets`. Where it is missing
and the repository's root is on sys.path, `import datasets` finds our folder instead, an
empty namespace; then load_dataset is not in it, an ImportError too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from .errors import DatasetError
from .prompt import Prompt
from .record import Record, no_column, prompt_of

PREFIX = "hf:"


@dataclass(frozen=True)
class Address:
    """Where the prompts are on the hub.

    >>> parse("hf:imdb").split, parse("hf:org/name/config:test:body").config
    ('train', 'config')
    """

    name: str
    config: str | None
    split: str
    column: str

    def __str__(self) -> str:
        name = f"{self.name}/{self.config}" if self.config else self.name
        return f"{PREFIX}{name}:{self.split}:{self.column}"


def parse(source: str) -> Address:
    """The address in `hf:name[:split[:column]]`; raises DatasetError."""
    name, *rest = source.removeprefix(PREFIX).split(":")
    owner_name_config = name.split("/")
    if not all(owner_name_config) or len(owner_name_config) > 3 or len(rest) > 2:
        raise DatasetError(
            f'"{source}" is no hub address; write hf:name[:split[:column]], '
            "where name is like imdb, owner/name or owner/name/configuration"
        )
    split, column, *_ = *rest, "", ""
    return Address(
        name="/".join(owner_name_config[:2]),
        config=owner_name_config[2] if len(owner_name_config) == 3 else None,
        split=split or "train",
        column=column or "text",
    )


def read(address: Address, *, limit: int | None = None) -> list[Prompt]:
    """The first `limit` prompts, or all; with a limit nothing more is downloaded."""
    prompts = list(islice(prompts_in(address, streaming=limit is not None), limit))
    if not prompts:
        raise DatasetError(f'{address} has no text in its column "{address.column}"')
    return prompts


def prompts_in(address: Address, *, streaming: bool) -> Iterator[Prompt]:
    """The prompt of every row that has a text."""
    for place, record in enumerate(records(address, streaming=streaming), 1):
        if address.column not in record:
            raise DatasetError(f"{address}: {no_column(address.column, record)}")
        text = record[address.column]
        if text is None or (isinstance(text, str) and not text.strip()):
            continue
        try:
            yield prompt_of(record, address.column)
        except DatasetError as error:
            raise DatasetError(f"{address}, row {place}: {error}") from None


def records(address: Address, *, streaming: bool) -> Iterator[Record]:
    """The rows, as they arrive."""
    try:
        from datasets import exceptions, load_dataset
    except ImportError:
        raise DatasetError(
            f'{address} needs the package "datasets": pip install "flowglass[hub]"'
        ) from None
    try:
        for row in load_dataset(
            address.name, address.config, split=address.split, streaming=streaming
        ):
            yield dict(row)
    except ConnectionError as error:
        raise DatasetError(f"{address}: the hub cannot be reached: {error}") from None
    except (exceptions.DatasetsError, OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DatasetError(f"{address}: {reason}") from None
