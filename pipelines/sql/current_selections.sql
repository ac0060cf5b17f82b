-- What has become of each selection.
create view current_selections as
select * from selections
qualify row_number() over (
    partition by request_id order by (status <> 'requested') desc, changed desc) = 1;
