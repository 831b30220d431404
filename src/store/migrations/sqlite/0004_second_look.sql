-- The look that is to confirm revocations: when, and at which sources. None if nothing awaits one.
ALTER TABLE agenda ADD COLUMN second_look TEXT;
