"""Stage settings: the settings that each pair runs with, from params.yaml or found by tuning."""

from mlproject.core import artifacts, files, params, script
from mlproject.training import run_settings


def main() -> None:
    """Write two files a pair: the model's settings, which training depends on, and the threshold's."""
    for category in params.categories():
        for model in params.chosen("detectors"):
            settings, threshold = run_settings.resolve(category, model)
            files.write_json(artifacts.settings_file(category, model), settings)
            files.write_json(artifacts.threshold_settings_file(category, model), threshold.model_dump())
            print(f"{category} {model}: {settings['source']}")


if __name__ == "__main__":
    script.run(main)
