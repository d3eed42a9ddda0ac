import torch


def explain_memory_failure(error: Exception) -> str | None:
    """Say what to do when the memory of a GPU is full.

    Args:
        error (Exception): What came out of the training.

    Returns:
        str | None: None if it was not that.
    """
    # Its older name; in newer versions of torch both are the same class.
    if not isinstance(error, torch.cuda.OutOfMemoryError):
        return None
    return (
        'The memory of the GPU is full. Three ways out: compute the batch in parts, by '
        '--cfg-options train_cfg.type=cmae_mm.MicroBatchTrainLoop '
        'train_cfg.micro_batches=2, or more if there are parts already (the '
        'contrastive loss still sees the whole batch); train on more GPUs with a '
        'smaller train_dataloader.batch_size on each; or free what others hold '
        '(nvidia-smi shows it), and what lies in pieces, by '
        'PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True.'
    )
