"""The test types of TechEmpower's framework benchmarks, on a database, with its rules checked before the load."""
