/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of a squeeze: what is held out, and what layers read on the others. */
#include "squeeze/squeezer.h"

#include "base/error.h"
#include "squeeze/static_table.h"

int sqzi_squeezer_advance(void *user)
{
    sqzi_squeezer *s = user;
    s->done++;
    return s->options.progress ? s->options.progress(s->options.user, s->done, s->total) : 0;
}

int sqzi_squeezer_stage_done(void *user, size_t done, size_t total)
{
    (void)done;
    (void)total;
    return sqzi_squeezer_advance(user);
}

bool sqzi_squeezer_chooses(const sqzi_squeezer *s)
{
    return s->options.budget || s->options.time > 0;
}

static bool reads(const sqzi_squeezer *s)
{
    return sqzi_squeezer_chooses(s) || sqzi_squeeze_plan_reads(s->model, &s->plan);
}

sqz_status sqzi_squeezer_split(sqzi_squeezer *s)
{
    const sqz_squeeze_options *o = &s->options;
    if (!o->texts && reads(s))
        return sqzi_fail(s->error, SQZ_EINVAL, 0,
                         "texts are missing: these levers ask what each layer reads; some thousand "
                         "lines of the kind that the model will read do%s",
                         s->plan.plain ? "" : ", or the plain form of the levers, which is worse");
    if ((o->whole_texts || o->cache) && !reads(s))
        return sqzi_fail(s->error, SQZ_EINVAL, 0,
                         "%s: these levers ask nothing of what layers read",
                         o->cache ? "cache" : "whole_texts");
    if (!o->cache && s->then) s->options.cache = s->then->cache;
    if (!o->texts) return SQZ_OK;
    if (!sqz_model_embed_tokenizer(s->model))
        return sqzi_fail(s->error, SQZ_EINVAL, 0, "texts: the model has no tokenizer to read them");
    return sqzi_text_split_make(&s->context->allocator, o->texts, o->n_texts, &s->split, s->error);
}

sqz_status sqzi_squeezer_collect(sqzi_squeezer *s)
{
    sqz_status status = SQZ_OK;
    sqz_error *error = s->error;
    const sqzi_text_split *split = &s->split;
    const sqzi_sentences *sentences = &s->sentences;
    const bool whole = s->options.whole_texts;
    if (!split->n_learn || !reads(s)) return SQZ_OK;
    if (!whole)
        TRY(sqzi_sentences_make(&s->context->allocator, split->learn, split->n_learn, &s->sentences,
                                error));
    TRY(sqzi_sequences_up_to(s->model, whole ? split->learn : sentences->all,
                             whole ? split->n_learn : sentences->n,
                             s->plan.static_width ? SQZI_STATIC_MOST : SQZI_STATISTICS_MOST,
                             &s->sequences, error));
    s->result.n_texts = s->sequences.n;
    s->result.n_cut = s->sequences.n_cut;
    s->result.n_pieces = sqzi_sequences_tokens(&s->sequences);
fail:
    return status;
}

sqz_status sqzi_squeezer_read(sqzi_squeezer *s)
{
    sqz_status status = SQZ_OK;
    const sqzi_squeeze_plan *plan = &s->plan;
    const size_t bytes = plan->n_made * sizeof(uint32_t);
    uint32_t *blocks = NULL;
    bool found, useless;
    sqz_error *error = s->error;
    if (!s->options.texts || !reads(s)) return SQZ_OK;
    if (plan->static_width)
        return sqzi_statistics_count(s->model, &s->sequences, &s->statistics, error);
    blocks = sqzi_allocate(&s->context->allocator, bytes);
    FAIL_IF(!blocks, SQZ_ENOMEM, 0, "no memory for a list of blocks");
    for (uint32_t i = 0; i < plan->n_blocks; i++) blocks[i] = plan->blocks[i].source;
    const sqzi_statistics_run run = {.model = s->model,
                                     .sequences = &s->sequences,
                                     .blocks = blocks,
                                     .n = plan->n_blocks,
                                     .folder = s->options.cache,
                                     .progress = sqzi_squeezer_stage_done,
                                     .user = s};
    TRY(sqzi_statistics_find(&run, &s->statistics, &found, &useless, error));
    s->result.from_cache = found;
    s->result.cache_useless |= useless;
    if (found) s->done += plan->n_blocks + 1;
fail:
    sqzi_release(&s->context->allocator, blocks, bytes);
    return status;
}
