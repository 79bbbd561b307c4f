"""Links to MLflow's pages: for each category its prepared view and its registered model."""

from typing import TYPE_CHECKING

from mlproject.registry.address import model_name
from mlproject.tracking import connection, prepared_views

if TYPE_CHECKING:
    from mlflow import MlflowClient

PORT = 5000  # of `make ui`


def address(port: int = PORT) -> str:
    """Return where MLflow's pages are: the server that keeps the record, else the one `make ui` starts."""
    return connection.shown().rstrip("/") if connection.is_server() else f"http://127.0.0.1:{port}"


def links(client: "MlflowClient", dataset: str, server: str) -> list[str]:
    """Prepare the views of a data set's experiment; return the links as lines of text.

    Args:
        server: address that comes before each link.

    Raises:
        mlflow.exceptions.MlflowException: the store refused, or went away.
    """
    experiment = client.get_experiment_by_name(dataset)
    if experiment is None:
        return [f"All runs: {server}/#/experiments"]
    number, lines = experiment.experiment_id, []
    for category, key in prepared_views.prepare(client, number).items():
        name = model_name(dataset, category)
        lines += [
            f"{category}: all models side by side, then the registered versions",
            f"  table   {server}/{prepared_views.link(number, key)}",
            f"  charts  {server}/{prepared_views.link(number, key, charts=True)}",
        ]
        if client.search_registered_models(f"name = '{name}'"):
            lines.append(f"  model   {server}/#/models/{name}")
    if lines:
        lines.append("A reload (F5) loses columns and charts: open the link again.")
    return [*lines, f"All runs: {server}/#/experiments/{number}/runs?workflowType=machine_learning"]


def anything_recorded(client: "MlflowClient") -> bool:
    """Say whether the store has a run of any experiment."""
    numbers = [experiment.experiment_id for experiment in client.search_experiments()]
    return bool(numbers and client.search_runs(numbers, max_results=1))
