//! The emulator of lakestage.
