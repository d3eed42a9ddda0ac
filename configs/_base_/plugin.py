# What every config of this project needs: our types, settings that somebody reads,
# checkpoints that can be read back (tensors and plain types only) and that fit the
# model, an end in order when a signal asks for it, and a bar where there is a terminal.
custom_imports = dict(imports=['cmae_mm'], allow_failed_imports=False)
runner_type = 'cmae_mm.CheckedRunner'
custom_hooks = [
    dict(type='cmae_mm.PlainCheckpointHook'),
    dict(type='cmae_mm.CheckPretrainedHook'),
    dict(type='cmae_mm.StopOnSignalHook'),
    dict(type='cmae_mm.CheckSettingsHook'),
    dict(type='cmae_mm.ProgressBar'),
]
