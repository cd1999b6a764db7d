"""Studies of studies: a near-ideal observer, Grad-CAM scored, key slices retrieved, LiLNet taken apart."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    [
        *["alignment", "clinical_queue", "detection", "explained", "key_slices"],
        *["lilnet", "lilnet_examined", "lilnet_maps", "lilnet_readers", "lilnet_table"],
        *["scan_to_answer", "transport"],
    ],
)
