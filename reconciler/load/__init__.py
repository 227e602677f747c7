"""Files of one revision in, desired state out: `reconciler.load.loading.load`. Pure.

Nothing is imported here, so that who needs one part does not pay for all.
"""
