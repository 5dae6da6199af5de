-- Version 1.0. History: 1.0, the first.
-- One row per training step and metric.
CREATE TABLE metrics (
    step   INTEGER NOT NULL,
    epoch  DOUBLE NOT NULL,
    metric VARCHAR NOT NULL,
    value  DOUBLE NOT NULL
);
COMMENT ON TABLE metrics IS 'One row per training step and metric, under TRL''s names';
COMMENT ON COLUMN metrics.step IS 'Optimizer step, from 1';
COMMENT ON COLUMN metrics.epoch IS 'Passes over the training rows so far, with fraction';
COMMENT ON COLUMN metrics.metric IS 'As loss, rewards/margins, rewards/accuracies, logps/chosen, grad_norm, learning_rate';
COMMENT ON COLUMN metrics.value IS 'Its value; rewards and logps in nats, accuracies 0 to 1';
