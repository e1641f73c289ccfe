/* Which heads are in the routes of which task's answers: the three that are in most of
   them, by the share of targets whose route at tau = 0.04 holds the head. */
with frequency as (
    select r.model, s.dataset as task, s.layer, s.index as head,
           sum(s.n_in_route_004) / sum(s.n_targets) as share,
           sum(s.contribution_sum) / sum(s.n_targets) as contribution
    from component_stats s join runs r using (run_id)
    where s.component = 'head'
    group by all
), ranked as (
    select *, row_number() over (
        partition by model, task order by share desc, contribution desc, layer, head
    ) as place
    from frequency
)
select model, task,
       string_agg(printf('%d.%d (%.0f%%)', layer, head, 100 * share), '  ' order by place)
           as "most active heads: layer.head (share of answers)"
from ranked where place <= 3
group by all order by model, task
