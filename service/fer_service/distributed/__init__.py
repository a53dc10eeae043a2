"""Ray, thinly used: jobs over many files, and replicas on many machines. It needs the extra `ray`."""
