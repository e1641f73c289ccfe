-- Questions people ask of a store, each with a query to start from: docs/sql.md lists
-- them, and the viewer's SQL page has them one click away (questions.py reads them).
-- They ask a store of two runs, `gpt2` and `llama`; each stands alone and ends with ';'.

-- # Which heads are active most often?
-- Figure 7 of Ferrando & Voita (2024, arXiv 2403.00824), at tau 0.04; any other tau from the
-- run's cutoff up will do.
from activation_frequency(0.04)
select layer, index as head, frequency
where run_id = 'gpt2' and component = 'head'
order by frequency desc;

-- # Which heads matter for which category?
-- The three of each category with the largest mean contribution to the routes.
from importance_by_category
select dataset, category, layer, index as head, mean_contribution, frequency_004
where run_id = 'gpt2' and component = 'head'
qualify row_number() over (
    partition by dataset, category order by mean_contribution desc) <= 3
order by dataset, category, mean_contribution desc;

-- # Which heads set one category apart?
-- How much more often a head is in the routes of a category than in those of the whole run.
from activation_frequency_by_category(0.04) as here
join activation_frequency(0.04) as overall using (run_id, layer, component, index)
select dataset, category, layer, index as head,
       here.frequency, here.frequency - overall.frequency as above_overall
where run_id = 'gpt2' and component = 'head'
order by above_overall desc limit 10;

-- # What changes between correct and wrong predictions?
-- How often a component is in the route of a right and of a wrong answer.
with answered as (
    from targets
    select run_id, count(*) filter (correct) as n_right,
           count(*) filter (not correct) as n_wrong
    group by run_id
)
from importance join targets using (run_id, prompt_id, target)
    join answered using (run_id)
select layer, component, index,
       count(*) filter (correct and survives_at > 0.04) / any_value(n_right)
           as when_right,
       count(*) filter (not correct and survives_at > 0.04) / any_value(n_wrong)
           as when_wrong
where run_id = 'gpt2'
group by layer, component, index
order by abs(when_right - when_wrong) desc;

-- # How often is the model right?
-- And does it at least prefer the answer to the distractor?
from accuracy
select dataset, category, n_prompts, prompt_accuracy, accuracy, prefers_answer
where run_id = 'gpt2'
order by dataset, category;

-- # Which components write the answer rather than the distractor?
-- Direct logit attribution; a negative number speaks for the distractor.
from attribution_by_category
select category, layer, component, index, n_pairs, answer_over_distractor
where run_id = 'gpt2' and dataset = 'ioi'
order by abs(answer_over_distractor) desc limit 10;

-- # What is the route of one prediction?
-- From the top down, each edge with its tokens; `head` is null for the stream and the FFN.
from route_tokens(0.04)
select layer, step, kind, head, query, query_token, key, key_token, contribution
where run_id = 'gpt2' and prompt_id = 0
  and target = (select min(target) from targets where run_id = 'gpt2' and prompt_id = 0)
order by layer desc, step = 'attn', query desc, contribution desc;

-- # Do longer prompts have larger routes?
-- Edges in the route at tau 0.04 against the prompt's number of tokens.
from targets join prompts using (run_id, prompt_id)
select dataset, n_tokens, count(*) as n_targets, avg(n_edges) as mean_edges
where run_id = 'gpt2'
group by dataset, n_tokens
order by dataset, n_tokens;

-- # Which heads are induction heads?
-- The share of what a head brings that comes from behind an earlier occurrence of the same token.
from heads join prompts using (run_id, prompt_id)
select run_id, layer, head,
       sum(on_after_same) / sum(contribution) as induction,
       avg(contribution) as mean_contribution
where dataset = 'induction'
group by run_id, layer, head
order by induction desc limit 10;

-- # Which heads are attention sinks?
-- How much of what a head brings comes from the first token. A true sink gets attention and
-- brings little: `edges.attention` shows it only where the contribution reaches the cutoff,
-- `tensors` (with `--tensors dense`) always.
from heads
select run_id, layer, head, sum(on_first) / sum(contribution) as on_first,
       sum(on_previous) / sum(contribution) as on_previous,
       sum(on_self) / sum(contribution) as on_self
group by run_id, layer, head
order by on_first desc limit 10;

-- # How far back does a head read?
-- Its contribution by distance.
from source_positions
select relative_position, share, n_edges
where run_id = 'gpt2' and layer = 1 and head = 2
order by relative_position desc;

-- # On which prompts does a head work most?
-- By its mean contribution over the prompt.
from head_prompts(1, 2, n := 5)
select run_id, prompt_id, category, contribution, text;

-- # Which tokens does a head connect?
-- The pairs that carry most over the corpus, start tokens aside.
from edge_tokens
select query_token, key_token, count(*) as n, sum(contribution) as total
where run_id = 'gpt2' and layer = 1 and head = 2 and not key_is_special
group by query_token, key_token
order by total desc limit 10;

-- # How much do attention and FFN write in each layer?
-- Shares of the step's whole; what is missing to 1 is the residual stream.
from shares_by_layer
select run_id, layer, step, resid, attn, ffn
order by run_id, layer, step;

-- # Where does the answer become the top token?
-- Over targets that end up right: the first state in which the lens has the answer on top.
with first as (
    from lens_trajectory
    select run_id, prompt_id, target, min(depth) filter (rank = 0) as depth,
           arg_min(state, depth) filter (rank = 0) as state,
           arg_min(layer, depth) filter (rank = 0) as layer
    where role = 'answer'
    group by all
)
from first join targets using (run_id, prompt_id, target)
select run_id, depth, layer, state, count(*) as n_targets
where correct
group by all order by run_id, depth;

-- # Which neurons are active most, and what do they promote?
-- The tokens that their weights promote, from the table that belongs to the model.
with active as (
    from neuron_activity join runs using (run_id)
    select model_hash, layer, expert, neuron, frequency, mean_contribution
    where run_id = 'gpt2'
    order by frequency desc, mean_contribution desc limit 10
)
from active a join neuron_vocab v
  on v.model_hash = a.model_hash and v.layer = a.layer and v.neuron = a.neuron
 and v.expert is not distinct from a.expert
select a.layer, a.expert, a.neuron, frequency, mean_contribution,
       list(token order by rank) as promoted
where sign = 1 and rank < 5
group by all order by frequency desc;

-- # Who writes a token into the stream?
-- The components whose write promotes it most, where they did so.
from writes join prompts using (run_id, prompt_id)
select layer, component, index, position, score, text
where run_id = 'gpt2' and sign = 1 and token = ' to'
order by score desc limit 10;

-- # Which prompts does one run get right and another wrong?
-- The same text in both runs, with all its answer tokens predicted in only one of them.
with solved as (
    from targets join prompts using (run_id, prompt_id)
    select run_id, prompt_hash, text, answer, bool_and(correct) as is_right
    where correct is not null
    group by run_id, prompt_hash, text, answer
)
from solved a join solved b using (prompt_hash)
select a.text, a.answer, a.is_right as in_first, b.is_right as in_second
where a.run_id = 'gpt2' and b.run_id = 'llama' and a.is_right <> b.is_right;

-- # What did my own columns say?
-- Whatever a prompt file has besides text, category, answer and distractor is in `metadata`;
-- the built-in `facts` say which relation they ask for.
from prompts join targets using (run_id, prompt_id)
select metadata ->> '$.relation' as relation, count(*) as n_targets,
       avg(answer_prob) as mean_answer_prob
where run_id = 'gpt2' and dataset = 'facts'
group by relation;

-- # How was a run made?
-- Every option is in `config`, as JSON.
from runs
select run_id, model, status, n_prompts, n_tokens, cutoff,
       config ->> '$.targets' as targets, config ->> '$.data' as data
order by started_at;

-- # What could not be processed, and why?
-- The reason names the step and the layer, if one is to blame.
from quarantine
select run_id, reason, step, layer, count(*) as n, min(prompt_id) as such_as
group by all order by n desc;

-- # What takes the space?
-- Rows of the largest tables for each token of the run; `flowglass info` says the bytes of a
-- run, `flowglass sweep --dry-run` those of a run to come, by table.
with counted as (
    from edges select run_id, 'edges' as of_table, count(*) as n_rows group by all
    union all from steps select run_id, 'steps', count(*) group by all
    union all from routes select run_id, 'routes', count(*) group by all
    union all from neurons select run_id, 'neurons', count(*) group by all
    union all from lens select run_id, 'lens', count(*) group by all
    union all from writes select run_id, 'writes', count(*) group by all
    union all from logit_attribution
        select run_id, 'logit_attribution', count(*) group by all
)
from counted join runs using (run_id)
select run_id, of_table, n_rows, n_rows / n_tokens as rows_per_token
order by run_id, n_rows desc;
