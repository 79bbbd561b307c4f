"""Base of records that nothing waits for: where the store is away they say so once and are silent."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar

from mlproject.core.errors import UserError
from mlproject.tracking import connection, store_faults

if TYPE_CHECKING:
    from mlflow import MlflowClient


class QuietRecord:
    """Run of a whole command, below which its parts have theirs.

    Attributes:
        meanwhile: what goes on while the store is away, and how the rest is logged later.
        run_id: None where the store is away: nothing more is recorded then.
    """

    meanwhile: ClassVar[str]
    run_id: str | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.run_id:
            with self.quiet():
                answering().set_terminated(self.run_id, "FINISHED" if kind is None else "KILLED")

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Give the record up, with one line of text, if the store fails in this context."""
        try:
            yield
        # the last: somebody deleted the experiment
        except store_faults.kinds(OSError, UserError) as error:
            self.run_id = None
            why = f"MLflow at {connection.uri()}: {str(error).splitlines()[0]}."
            told = store_faults.refusal(error) or connection.without_password(why)
            print(f"{told} {self.meanwhile}", flush=True)


def answering() -> "MlflowClient":
    """Return a client of the store.

    Raises:
        OSError: it does not answer.
    """
    if not connection.reachable():
        raise OSError("no answer")
    return connection.connect()
