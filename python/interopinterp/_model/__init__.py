"""The parts that HookedTransformer is made of, one capability a file."""
