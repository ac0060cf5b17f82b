"""Where models come from: trained or brought, calibrated, given a reference, put into a bundle."""
