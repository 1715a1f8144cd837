"""`python -m pipeline` is `hoptrail`."""

from pipeline.cli import main

if __name__ == "__main__":
    main()
