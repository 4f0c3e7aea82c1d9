/* SPDX-License-Identifier: BSD-3-Clause */
#include "tables.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

/* EXIT_FAILURE: a file could not be read or written. */
#define EXIT_BAD_CONFIG 2

typedef struct Options {
    char *config_file, *output;
    gboolean version;
} Options;

static void options_clear(Options *options)
{
    g_free(options->config_file);
    g_free(options->output);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

static bool parse_options(int argc, char **argv, Options *options, Settings *settings,
                          GError **error)
{
    g_autoptr(GOptionContext) context =
        g_option_context_new("- show or write the tables of a machine with hotpluggable vCPUs");
    GOptionGroup *group = g_option_group_new(
        "machine", "The machine, also keys of the file:", "Show the machine's options", NULL, NULL);
    const GOptionEntry entries[] = {
        {"config", 'c', 0, G_OPTION_ARG_FILENAME, &options->config_file,
         "Read the machine's options from the group [machine] of a key file", "FILE"},
        {"output", 'o', 0, G_OPTION_ARG_FILENAME, &options->output,
         "Write the tables there instead of showing a summary", "DIRECTORY"},
        {"version", 0, 0, G_OPTION_ARG_NONE, &options->version, "Show the library's version", NULL},
        {0},
    };

    g_option_context_add_main_entries(context, entries, NULL);
    g_option_group_add_entries(group, settings_options(settings));
    g_option_context_add_group(context, group);
    if (!g_option_context_parse(context, &argc, &argv, error))
        return false;
    if (argc > 1)
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "\"%s\" is not an option",
                    argv[1]);
    return argc == 1;
}

/* The context only builds tables. */
static bool start(uint32_t vcpu, const VcpuhpEntry *entry, void *opaque)
{
    (void)vcpu, (void)entry, (void)opaque;
    return false;
}

static void kick(uint32_t vcpu, void *opaque)
{
    (void)vcpu, (void)opaque;
}

static bool run(const Options *options, Settings *settings, GError **error)
{
    const VcpuhpCallbacks callbacks = {
        .size = sizeof(callbacks), .vcpu_start = start, .vcpu_kick = kick};
    g_autoptr(Vcpuhp) hp = NULL;
    VcpuhpConfig config;

    if ((options->config_file && !settings_read_file(settings, options->config_file, error)) ||
        !settings_fill_config(settings, &config, error))
        return false;
    hp = vcpuhp_new(&config, &callbacks, NULL, error);
    if (!hp)
        return false;
    if (options->output)
        return tables_write(hp, options->output, error);
    summary_print(hp, &config);
    return true;
}

/* What was printed has reached its place. */
static bool flush(GError **error)
{
    if (fflush(stdout) == 0)
        return true;
    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "standard output: %s",
                g_strerror(errno));
    return false;
}

int main(int argc, char **argv)
{
    g_autoptr(Settings) settings = settings_new();
    g_auto(Options) options = {0};
    g_autoptr(GError) error = NULL;

    setlocale(LC_ALL, ""); /* GOption takes arguments in the locale's encoding */
    if (!parse_options(argc, argv, &options, settings, &error)) {
        fprintf(stderr, "vcpuhp-tables: %s\n", error->message);
        return EXIT_BAD_CONFIG;
    }
    if (options.version) {
        printf("vcpuhp-tables %s\n", vcpuhp_version());
        return EXIT_SUCCESS;
    }
    if (run(&options, settings, &error) && flush(&error))
        return EXIT_SUCCESS;
    if (error->domain == VCPUHP_ERROR)
        settings_blame(settings, error);
    fprintf(stderr, "vcpuhp-tables: %s\n", error->message);
    return error->domain == G_FILE_ERROR ? EXIT_FAILURE : EXIT_BAD_CONFIG;
}
