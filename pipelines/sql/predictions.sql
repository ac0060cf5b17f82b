-- One row for each inference, with its best class and how sure it was of it.
create view predictions as
select * exclude (embedding), class_ids[1] as class_id, scores[1] as confidence,
       scores[1] - coalesce(scores[2], 0) as margin
from inferences;
