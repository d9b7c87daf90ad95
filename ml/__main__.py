"""``python -m ml``: train, evaluate and use the model."""

from ml.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
