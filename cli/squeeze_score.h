/* SPDX-License-Identifier: Apache-2.0 */
/* `squeeze` where a score counts: healed, judged, and searched for the smallest that holds it. */
#ifndef CLI_SQUEEZE_SCORE_H
#define CLI_SQUEEZE_SCORE_H

#include <squeezebert/compress.h>

#include "lever_texts.h"

/* --task --data --label ... --min-score --minutes --no-heal --resume */
extern const cli_option cli_score_options[];

/* The layouts of --input: of --texts, or of --data where that is given. */
#define CLI_SCORE_INPUT "auto|lines|csv|tsv|jsonl|conll|clinc"

/* Whether these options, or a budget (or time) with texts, which is healed, ask for it; dies with
 * CLI_USAGE where they do not go together. */
bool cli_score_is_asked(bool budget, const char *texts_path, uint32_t input, const char *text);
/* Dies with CLI_USAGE where an option does not go with --pareto. */
void cli_score_check_front(void);
/* The same of --dry-run, which keeps nothing: of what changes neither plan nor bytes. */
void cli_score_check_forecast(void);
/* Dies where `output` would take the place of --data, of a file of its task, or of --dev. */
void cli_score_not_over(const char *output);
/* Dies where the folder of a run that writes `output` cannot be made, or has in it what is to stay
 * (NULL: nothing). */
void cli_score_try_folder(const char *output, const char *const *stay, uint32_t n);
/* --data is given: --input and --text are of it. */
bool cli_score_has_rows(void);

/*   levers         their part is called
 *   input, text    of CLI_SCORE_INPUT; the column of --data
 *   condition      cli_score_condition, once it has run
 *   milliseconds   of base and new model, for a text alone */
typedef struct cli_score_job {
    const char *model, *output, *condition;
    const sqz_squeeze_options *levers;
    const cli_lever_texts *texts;
    uint32_t input;
    const char *text;
    bool dry_run;
    sqz_compress_result result;
    double milliseconds[2];
} cli_score_job;

void cli_score_run(cli_score_job *job);
/* Of rows: what the scores are true by, until the next call; NULL: of texts. */
const char *cli_score_condition(const char *model);
/* The options of such a run, for who calls the library: rows are open until cli_score_close, the
 * folder is the output's; minutes 0: none were said. */
void cli_score_open(const cli_score_job *job, sqz_compress_options *options);
void cli_score_close(void);
/* The verb's exit code: CLI_FAILED where the score was not met. Closes what is open. */
int cli_score_end(const cli_score_job *job);

/* ---- squeeze_score_report.c ---- */

/* After the table of parts; and as keys of the object that is open. */
void cli_score_show(const cli_score_job *job);
void cli_score_show_json(const cli_score_job *job);
/* What comes out does not hold the score that was wanted. */
void cli_say_unmet(const sqz_compress_result *result, const char *wanted, const char *may_hold);
/* On the first of the rows, or of the texts. */
void cli_score_time(cli_score_job *job, const sqz_dataset *rows);

#endif
