-- Each model version in the fleet: how much it has seen, and how sure it was.
create view model_versions as
select model, model_version, count(*) as inferences, count(distinct device) as devices,
       min(time) as first_seen, max(time) as last_seen, avg(scores[1]) as mean_confidence
from inferences group by all;
