"""Real processes for tests of the whole product: Kafka brokers, an independent reader, kfastd and
its workers.
"""
