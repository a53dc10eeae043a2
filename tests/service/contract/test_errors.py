from fer_service.contract import errors
from fer_service.contract.errors import ClipError, ClusterError, FerError, RequestError, ResultsError, StartError


def test_all_errors_have_one_root() -> None:
    everything = [value for value in vars(errors).values() if isinstance(value, type)]
    assert all(issubclass(error, FerError) for error in everything if issubclass(error, Exception))
    assert set(FerError.__subclasses__()) == {StartError, ClusterError, ClipError, RequestError, ResultsError}
