-- The raw samples that came back, with what the model thought of them.
create view labelling as
select s.device, s.stream, s.seq, s.site, s.model, s.model_version, s.strategy, s.content_type, s.sample, s.sample_digest,
       p.time, p.class_id, p.confidence, p.margin
from samples s join predictions p using (device, stream, seq);
