-- Since when a channel's trouble lasts, so that a restart does not make it younger.
ALTER TABLE line ADD COLUMN since INTEGER; -- the first failure of its kind; none where the channel takes messages
