"""`python -m fer_service` is the command `fer-service`."""

from fer_service.cli.main import main

if __name__ == "__main__":
    main()
