/* SPDX-License-Identifier: Apache-2.0 */
/* What came out of a distillation. */
#include <math.h>

#include "distill.h"
#include "output.h"
#include "stream.h"

void cli_distill_show_plan(const cli_distill_job *j)
{
    const uint64_t steps = sqz_trainer_steps(j->base.trainer);
    printf("%llu steps of %u, %.3f s a step, %.1f minutes in all, without comparing\n",
           (unsigned long long)steps, cli_tuning.batch, j->watch.step_seconds,
           j->watch.step_seconds * (double)steps / 60);
    printf("%.0f MB of memory\n", (double)sqz_trainer_memory(j->base.trainer) / 1e6);
}

static void show_model_json(const char *key, const sqz_likeness *likeness, uint64_t bytes,
                            double milliseconds)
{
    cli_json_key(key);
    cli_json_open('{');
    if (likeness) {
        cli_json_key_double("cosine", likeness->cosine);
        cli_json_key_double("cosine_error", likeness->cosine_error);
        cli_json_key_double("neighbours", likeness->neighbours);
        cli_json_key_double("neighbours_error", likeness->neighbours_error);
    }
    cli_json_key_number("bytes", bytes);
    cli_json_key_double("milliseconds", milliseconds);
    cli_json_close('}');
}

static void show_model(const char *name, const sqz_likeness *likeness, uint64_t bytes,
                       double milliseconds)
{
    char cosine[40] = "1", neighbours[40] = "1";
    if (likeness) {
        snprintf(cosine, sizeof cosine, "%.4f +- %.4f", likeness->cosine,
                 1.96 * likeness->cosine_error);
        if (isnan(likeness->cosine)) snprintf(cosine, sizeof cosine, "(other width)");
        snprintf(neighbours, sizeof neighbours, "%.3f +- %.3f", likeness->neighbours,
                 1.96 * likeness->neighbours_error);
    }
    printf("%-10s %-18s %-16s %12llu %8.2f\n", name, cosine, neighbours, (unsigned long long)bytes,
           milliseconds);
}

/* Of texts: teacher, before and after. */
static void show_likeness(cli_distill_job *j, const sqz_model *student, const uint64_t bytes[3],
                          const double ms[3])
{
    const sqz_likeness after = cli_distilling_compare(&j->watch, student);
    if (cli.json) {
        cli_json_key_number("texts", sqz_batches_data(j->base.batches)->n_examples);
        cli_json_key_number("held_out", j->watch.n_texts);
        show_model_json("teacher", NULL, bytes[0], ms[0]);
        show_model_json("before", &j->before, bytes[1], ms[1]);
        show_model_json("after", &after, bytes[2], ms[2]);
        return;
    }
    printf("on %zu texts that were held out, with intervals of 95%%; a text alone takes ms:\n",
           j->watch.n_texts);
    printf("%-10s %-18s %-16s %12s %8s\n", "", "cosine", "neighbours", "bytes", "ms");
    show_model("teacher", NULL, bytes[0], ms[0]);
    show_model("before", &j->before, bytes[1], ms[1]);
    show_model("after", &after, bytes[2], ms[2]);
}

/* ---- of labelled rows ---- */

static sqz_predictions *predict(const cli_distill_job *j, const sqz_model *model, sqz_measures *m)
{
    sqz_error error = {0};
    sqz_predictions *predictions;
    const uint32_t most = sqz_model_get_info(model)->max_positions;
    sqz_task_options task = j->base.watch.task;
    if (task.max_length > most) task.max_length = most;
    const sqz_predict_options o = {.task = &task};
    cli_check(sqz_predict(model, j->base.watch.dev, &o, &predictions, &error), &error);
    cli_check(sqz_measure(predictions, NULL, m, &error), &error);
    return predictions;
}

static void show_figures(const char *name, const char *key, const sqz_figure *figures, uint32_t n)
{
    if (cli.json) {
        cli_json_key(key);
        cli_json_open('{');
        cli_json_figures(figures, n);
        cli_json_close('}');
        return;
    }
    printf("%s:\n", name);
    cli_print_figures(figures, n);
}

/* Both models' figures, their paired differences, bytes and milliseconds. */
static void show_labelled(cli_distill_job *j, const sqz_model *model, const uint64_t bytes[3],
                          const double ms[3])
{
    sqz_error error = {0};
    sqz_measures of_teacher, of_student;
    sqz_comparison comparison;
    sqz_predictions *teacher = predict(j, j->teacher, &of_teacher),
                    *student = predict(j, model, &of_student);
    cli_check(sqz_compare_predictions(teacher, student, NULL, &comparison, &error), &error);
    if (cli.json) {
        cli_json_key_number("dev_examples", of_teacher.n);
        cli_json_key_number("teacher_bytes", bytes[0]);
        cli_json_key_number("bytes_before", bytes[1]);
        cli_json_key_number("bytes", bytes[2]);
        cli_json_key_double("teacher_milliseconds", ms[0]);
        cli_json_key_double("milliseconds_before", ms[1]);
        cli_json_key_double("milliseconds", ms[2]);
    } else
        printf("on %zu examples that were not learned, with intervals of 95%%; %llu bytes of the "
               "teacher became %llu, %.2f ms for a text alone %.2f:\n",
               of_teacher.n, (unsigned long long)bytes[0], (unsigned long long)bytes[2], ms[0],
               ms[2]);
    show_figures("teacher", "teacher", of_teacher.figures, of_teacher.n_figures);
    if (j->measured_before.n)
        show_figures("student, before it learned", "before", j->measured_before.figures,
                     j->measured_before.n_figures);
    show_figures("student", "student", of_student.figures, of_student.n_figures);
    show_figures("student less teacher, in paired resamples", "difference", comparison.figures,
                 comparison.n_figures);
    sqz_predictions_close(teacher);
    sqz_predictions_close(student);
}

/* ---- both ---- */

void cli_distill_show_before(cli_distill_job *j)
{
    if (j->labelled) {
        const sqz_model_info *own = sqz_model_get_info(j->student),
                             *teachers = sqz_model_get_info(j->teacher);
        if (own->head == teachers->head && own->n_labels == teachers->n_labels)
            sqz_predictions_close(predict(j, j->student, &j->measured_before));
        return;
    }
    j->before = cli_distilling_compare(&j->watch, j->student);
    if (cli.progress == 1) return;
    if (isnan(j->before.cosine))
        cli_say("before: neighbours %.3f on %zu texts held out", j->before.neighbours,
                j->watch.n_texts);
    else
        cli_say("before: cosine %.4f, neighbours %.3f on %zu texts held out", j->before.cosine,
                j->before.neighbours, j->watch.n_texts);
}

/* The student's, or the teacher's, whose logits it learned. */
static void say_scores_dropped(const cli_distill_job *j, const sqz_model_info *written)
{
    const sqz_model_info *info = sqz_model_get_info(j->teacher);
    const bool teachers = (info->temperature != 1 || info->threshold > -HUGE_VAL) &&
                          written->head == info->head && written->n_labels == info->n_labels;
    if (j->base.result.scores_dropped || teachers)
        cli_say_scores_dropped(teachers ? cli_teaching.teacher_path : cli_teaching.student_path,
                               cli_tuning.output_path);
}

void cli_distill_show_result(cli_distill_job *j)
{
    sqz_error error = {0};
    sqz_model *written;
    double ms[3];
    uint64_t bytes[3];
    cli_check(sqz_model_open(cli_context(), cli_tuning.output_path, &written, &error), &error);
    const sqz_model *const models[] = {j->teacher, j->student, written};
    for (int i = 0; i < 3; i++) bytes[i] = sqz_model_get_info(models[i])->file_bytes;
    cli_time_models(j->watch.texts, j->watch.n_texts, models, 3, ms);
    if (cli.json) {
        cli_json_open('{');
        cli_json_key_string("model", cli_tuning.output_path);
        cli_json_key_number("steps", j->base.result.step);
        cli_json_key_number("kept_step", j->base.result.kept_step);
    } else {
        printf("wrote %s: %llu steps", cli_tuning.output_path,
               (unsigned long long)j->base.result.step);
        if (j->base.result.kept_step != j->base.result.step)
            printf(", that of step %llu is kept", (unsigned long long)j->base.result.kept_step);
        printf("\n");
    }
    if (j->labelled) show_labelled(j, written, bytes, ms);
    else show_likeness(j, written, bytes, ms);
    if (cli.json) cli_json_close('}');
    say_scores_dropped(j, sqz_model_get_info(written));
    sqz_model_close(written);
}
