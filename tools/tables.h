/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vcpuhp-tables: the tables of a machine without the machine.
 *
 *     main.c         options, exit status
 *     settings.c     options and key file, as a config
 *     files.c        the tables, written into a directory
 *     device-tree.c  the device tree, written there (needs libfdt)
 *     summary.c      what a person wants to know
 */
#ifndef VCPUHP_TOOLS_TABLES_H
#define VCPUHP_TOOLS_TABLES_H

#include <vcpuhp/vcpuhp.h>

/* --- settings.c --- */

/* Each setting is an option of the command line and a key of the file. */
typedef struct Settings Settings;

Settings *settings_new(void);
void settings_free(Settings *settings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Settings, settings_free)

/* The settings as options. They belong to settings, which takes what the command line says. */
const GOptionEntry *settings_options(Settings *settings);

/* Read a key file. Options take precedence over it. */
bool settings_read_file(Settings *settings, const char *path, GError **error);

/* Fill a config, whose arrays and strings belong to settings. The library checks the numbers. */
bool settings_fill_config(Settings *settings, VcpuhpConfig *config, GError **error);

/* Put the setting that is to blame before the library's message. */
void settings_blame(const Settings *settings, GError *error);

/* --- files.c --- */

/* Write a file into the directory, and print its name and size. */
bool file_write(const char *directory, const char *name, const void *data, gsize size,
                GError **error);

/* Write all tables. The directory is created if it does not exist. */
bool tables_write(const Vcpuhp *hp, const char *directory, GError **error);

/* --- device-tree.c --- */

/* Write the library's nodes below a root, as a device tree blob. */
bool device_tree_write(const Vcpuhp *hp, const char *directory, GError **error);

/* --- summary.c --- */

void summary_print(Vcpuhp *hp, const VcpuhpConfig *config);

#endif
