/* SPDX-License-Identifier: Apache-2.0 */
/* What made a student, in words. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "squeeze/student.h"

const char *sqz_origin_name(sqz_origin origin)
{
    static const char *const names[] = {"teacher", "levers", "random", "new"};
    return (unsigned)origin < sizeof names / sizeof *names ? names[origin] : NULL;
}

void sqzi_student_history(const sqzi_student *s, char text[SQZI_STUDENT_TEXT])
{
    const sqz_student_options *o = s->options;
    const struct {
        const char *name;
        uint32_t value;
    } numbers[] = {{"width", o->width}, {"heads", o->heads}, {"neurons", o->neurons}};
    int n = snprintf(text, SQZI_STUDENT_TEXT, "init-student");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].value)
            n += snprintf(text + n, SQZI_STUDENT_TEXT - (size_t)n, " --%s %" PRIu32,
                          numbers[i].name, numbers[i].value);
    if (o->random)
        n += snprintf(text + n, SQZI_STUDENT_TEXT - (size_t)n, " --random %.120s", o->random);
    if (o->random || o->width)
        snprintf(text + n, SQZI_STUDENT_TEXT - (size_t)n, " --seed %" PRIu64, o->seed);
}

typedef struct telling {
    const sqzi_student *student;
    const sqzi_squeeze_plan *plan;
    const sqzi_weights *weights;
} telling;

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool ends_with(const char *text, const char *suffix)
{
    const size_t n = strlen(text), k = strlen(suffix);
    return n >= k && strcmp(text + n - k, suffix) == 0;
}

static bool is_levered(const telling *t, uint32_t i, uint32_t j)
{
    const sqzi_block_plan *b = &t->plan->blocks[i];
    const sqzi_block *from = &t->weights->model->encoder.blocks[b->source];
    const bool fewer = j <= SQZI_ATTN_OUTPUT ? b->heads < from->heads
                                             : b->neurons < from->ffn_width;
    return fewer || b->linears[j].groups > 1 || b->linears[j].rank;
}

/* Of `rest`, what stands behind "blk.I.". */
static sqz_origin origin_in_block(const telling *t, uint32_t i, const char *rest)
{
    const sqzi_student *s = t->student;
    const bool attention = begins_with(rest, "attn_"), norm = strstr(rest, "_norm.") != NULL,
               is_new = attention ? s->attention : s->feed_forward;
    if (is_new) return norm || ends_with(rest, ".bias") ? SQZ_ORIGIN_NEW : SQZ_ORIGIN_RANDOM;
    for (uint32_t j = 0; !norm && j < SQZI_BLOCK_LINEARS; j++)
        if (begins_with(rest, sqzi_block_linear_name(j)) && is_levered(t, i, j))
            return SQZ_ORIGIN_LEVERS;
    return SQZ_ORIGIN_TEACHER;
}

static sqz_origin origin_outside(const telling *t, const char *name)
{
    const sqzi_weights *w = t->weights;
    const bool narrowed = t->plan->embedding == SQZ_EMBEDDING_WIDTH,
               words = begins_with(name, "token_embd."), types = begins_with(name, "token_types."),
               positions = begins_with(name, "position_embd."),
               norm = begins_with(name, "token_embd_norm."),
               projection = begins_with(name, "embd_output.");
    if (t->student->embedding && (words || types || positions || norm || projection))
        return norm || ends_with(name, ".bias") ? SQZ_ORIGIN_NEW : SQZ_ORIGIN_RANDOM;
    if (words && (narrowed || w->kept_words)) return SQZ_ORIGIN_LEVERS;
    /* the mean that a narrow table leaves out is added to one of these */
    if (narrowed && (w->type.rows ? types : positions)) return SQZ_ORIGIN_LEVERS;
    return SQZ_ORIGIN_TEACHER;
}

static void tell(void *user, const char *name, uint32_t n_dims, const uint64_t *shape)
{
    const telling *t = user;
    sqz_student_tensor tensor = {.name = name, .block = -1, .n_dims = n_dims};
    unsigned i;
    int at = 0;
    for (uint32_t k = 0; k < n_dims && k < 2; k++) tensor.shape[k] = shape[k];
    if (sscanf(name, "blk.%u.%n", &i, &at) == 1 && at) {
        tensor.origin = origin_in_block(t, i, name + at);
        if (tensor.origin <= SQZ_ORIGIN_LEVERS)
            tensor.block = (int32_t)t->weights->blocks[i].source;
    } else tensor.origin = origin_outside(t, name);
    t->student->options->tensor(t->student->options->user, &tensor);
}

void sqzi_student_tell(const sqzi_student *student, const sqzi_squeeze_plan *plan,
                       const sqzi_weights *weights)
{
    telling t = {student, plan, weights};
    if (student->options->tensor) sqzi_weights_list(weights, tell, &t);
}
