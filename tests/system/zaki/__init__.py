"""What the tests of the whole suite, the demo and the benchmark share: clients for the suite's doors."""
