-- Version 1.0. History: 1.0, the first.
-- One row per tensor of a model, and one per other file of its folder.
CREATE TABLE checkpoints (
    file     VARCHAR NOT NULL,
    tensor   VARCHAR,
    dtype    VARCHAR,
    shape    UBIGINT[],
    "offset" UBIGINT NOT NULL,
    bytes    UBIGINT NOT NULL,
    digest   VARCHAR NOT NULL,
    object   VARCHAR NOT NULL
);
COMMENT ON TABLE checkpoints IS 'One row per tensor of a model, and one per file of its folder that holds no tensors';
COMMENT ON COLUMN checkpoints.file IS 'The file''s name in the model folder, as model.safetensors or config.json; of a training whose epochs are kept with the epoch''s before it, as epoch-2/config.json';
COMMENT ON COLUMN checkpoints.tensor IS 'The tensor''s name, NULL for a file without tensors';
COMMENT ON COLUMN checkpoints.dtype IS 'Element type in safetensors'' spelling, as F32 or BF16; NULL for a file';
COMMENT ON COLUMN checkpoints.shape IS 'Dimensions, outermost first; NULL for a file';
COMMENT ON COLUMN checkpoints."offset" IS 'First byte within the file';
COMMENT ON COLUMN checkpoints.bytes IS 'Length in bytes';
COMMENT ON COLUMN checkpoints.digest IS 'BLAKE3 of exactly these bytes, 64 hexadecimal digits: equal tensors have equal digests';
COMMENT ON COLUMN checkpoints.object IS 'The stored object that holds the file, 64 hexadecimal digits';
