"""`python -m fer_training`: the command line `fer-train`."""

from fer_training.cli import main

if __name__ == "__main__":
    main()
