/* SPDX-License-Identifier: Apache-2.0 */
/* Options that finetune and distill share, and what they do where none says otherwise. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "finetune.h"
#include "output.h"

enum { BATCH = 32 };

cli_tuning_options cli_tuning = {.batch = BATCH,
                                 .seed = 1,
                                 .lr = NAN,
                                 .dropout = NAN,
                                 .warmup = NAN,
                                 .weight_decay = NAN,
                                 .clip = NAN,
                                 .head_lr = NAN,
                                 .label_smoothing = NAN,
                                 .holdout = NAN,
                                 .checkpoint_minutes = NAN};

const cli_option cli_training_data_options[] = {
    {"task", 0, CLI_TEXT, &cli_tuning.task_name, "NAME",
     "cola, sst2, mrpc, qqp, stsb, mnli, qnli, rte or wnli: --data is the folder of its files, "
     "train and dev"},
    {"dev", 0, CLI_TEXT, &cli_tuning.dev_path, "FILE",
     "what to measure on, laid out as --data; of CLINC's JSON val is read"},
    {"source", 0, CLI_TEXT, &cli_tuning.source, "COLUMN",
     "with --holdout: equal cells are one source too"},
    {"split", 0, CLI_TEXT, &cli_tuning.split, "NAME",
     "of CLINC's JSON: train (the default), train+oos_train"},
    {0},
};

const cli_option cli_training_recipe[] = {
    {"batch", 0, CLI_COUNT, &cli_tuning.batch, "N", "examples of a step (default: 32)"},
    {"accumulate", 0, CLI_COUNT, &cli_tuning.accumulate, "N",
     "parts that a batch is computed in: less memory, the same step but for rounding"},
    {"fake-quantise", 0, CLI_CHOICE, &cli_tuning.fake_quantise, "none|s8|s4|s3|stored",
     "train through the rounding of the blocks' matrices to int8, 4 or 3 bits, or of all matrices "
     "as the base stores them, and write them so (default: none)"},
    {"max-length", 0, CLI_COUNT, &cli_tuning.max_length, "N",
     "pieces of a text, special tokens included (default: 128, or what the model takes)"},
    {"max-steps", 0, CLI_COUNT, &cli_tuning.max_steps, "N",
     "stop after so many steps; the schedule stays that of all epochs"},
    {"schedule", 0, CLI_CHOICE, &cli_tuning.schedule, "linear|cosine|constant",
     "after the warm-up"},
    {"weight-decay", 0, CLI_REAL, &cli_tuning.weight_decay, "RATE",
     "of matrices and tables (default: 0.01)"},
    {"clip", 0, CLI_REAL, &cli_tuning.clip, "NORM",
     "largest norm of the gradient, 0: any (default: 1)"},
    {0},
};

const cli_option cli_training_run[] = {
    {"checkpoint", 0, CLI_TEXT, &cli_tuning.checkpoint, "FOLDER",
     "where a run can go on from (default: FILE.checkpoint)"},
    {"checkpoint-steps", 0, CLI_COUNT, &cli_tuning.checkpoint_steps, "N", "write one each N steps"},
    {"checkpoint-minutes", 0, CLI_REAL, &cli_tuning.checkpoint_minutes, "M",
     "and each M minutes (default: 10; 0: not by time)"},
    {"resume", 0, CLI_FLAG, &cli_tuning.resume, NULL,
     "go on from the newest checkpoint; begin where there is none"},
    {"progress", 0, CLI_CHOICE, &cli.progress, "auto|none", "progress on stderr"},
    {"dry-run", 0, CLI_FLAG, &cli_tuning.dry_run, NULL,
     "take three steps, print what the whole run would take, write nothing"},
    {0},
};

void cli_check_training_data(cli_job *j)
{
    const bool held_out = !isnan(cli_tuning.holdout);
    j->task = cli_tuning.task_name ? sqz_glue_find(cli_tuning.task_name) : -1;
    if (cli_tuning.task_name && (j->task < 0 || j->task == SQZ_GLUE_AX))
        cli_die(CLI_USAGE,
                "there is no task '%s' to train on; `squeezebert finetune --help` lists them",
                cli_tuning.task_name);
    if (cli_tuning.task_name) {
        cli_refuse_columns("--task, whose files are known");
        if (cli_tuning.dev_path || held_out || cli_tuning.source || cli_tuning.split ||
            cli_tuning.problem)
            cli_die(CLI_USAGE, "--dev, --holdout, --source, --split and --problem do not go with "
                               "--task, which has its own");
    }
    if (cli_tuning.dev_path && held_out)
        cli_die(CLI_USAGE, "--dev and --holdout: what is measured on is one or the other");
    if (cli_tuning.source && !held_out) cli_die(CLI_USAGE, "--source is for --holdout");
}

static char *own_folder;

static void free_folder(void)
{
    free(own_folder);
    own_folder = NULL;
}

const char *cli_training_folder(void)
{
    const char *output = cli_tuning.output_path;
    if (cli_tuning.checkpoint || !output) return cli_tuning.checkpoint;
    if (own_folder) return own_folder;
    own_folder = cli_checkpoint_of(output);
    cli_at_end(free_folder);
    return own_folder;
}

void cli_try_training_places(void)
{
    cli_try_output(cli_tuning.output_path, true);
    cli_try_folder(cli_training_folder(), true);
    if (cli_tuning.log_path) cli_try_in_place(cli_tuning.log_path);
}
