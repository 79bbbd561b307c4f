"""Stage settings: what one pair runs with: params.yaml's own settings, or what a study found for it."""

from mlproject.core import artifacts, files, script
from mlproject.training import run_settings


def main(category: str, model: str) -> None:
    """Write settings.json, which training depends on, and threshold_settings.json, which it does not."""
    settings, threshold = run_settings.resolve(category, model)
    files.write_json(artifacts.settings_file(category, model), settings)
    files.write_json(artifacts.threshold_settings_file(category, model), threshold.model_dump())
    print(f"{category} {model}: {settings['source']}")


if __name__ == "__main__":
    script.run(main)
