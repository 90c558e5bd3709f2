//! The engine of lakestage.
