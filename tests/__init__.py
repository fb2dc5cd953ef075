"""The tests of txlab; a folder for each of its rooms, a module for each of its modules."""

from hypothesis import HealthCheck, settings

# Under pytest and trial alike. How long an example takes says how busy the machine is, and no more.
settings.register_profile(
    "lab", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("lab")
