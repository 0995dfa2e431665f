/*
 * What ippool_rs uses of FreeRADIUS 3.0.20 ... 3.2.x, declared in our own words for bindgen.
 *
 * No release of FreeRADIUS installs headers that compile by themselves, so this file names exactly the functions that we
 * call and the fields that we read. Everything else stays opaque. The names are those of FreeRADIUS; behind each group stands the
 * file that defines it. tests/module/header.rs compares the prototypes with the installed headers, and
 * src/ffi/layout.rs compares the fields with the running server before the module serves its first packet.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef IPPOOL_RS_HOST_H
#define IPPOOL_RS_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Opaque: never looked into. */
typedef struct rad_request REQUEST;
typedef struct conf_item CONF_ITEM;
typedef struct conf_pair CONF_PAIR;
typedef struct conf_part CONF_SECTION;
typedef struct xlat_exp xlat_exp_t;
typedef struct CONF_PARSER CONF_PARSER;
typedef struct fr_cond_t fr_cond_t;
typedef void TALLOC_CTX;

/* Numbers: token.h, radius.h, tmpl.h, log.h, modules.h, radiusd.h. */
typedef int FR_TOKEN;
typedef int PW_TYPE;
typedef int pair_lists_t;
typedef int log_type_t;
typedef int log_lvl_t;
typedef unsigned int rlm_rcode_t;

/* libradius.h: struct dict_attr, its beginning. Only ever used behind a pointer that the server gave us. */
typedef struct dict_attr {
	unsigned int attr;
	PW_TYPE type;
	unsigned int vendor;
} DICT_ATTR;

/* libradius.h: struct value_pair, its beginning. Read, never written, never allocated by us. */
typedef struct value_pair {
	DICT_ATTR const *da;
	struct value_pair *next;
	FR_TOKEN op;
	int8_t tag;
	void const *xlat;
	int value_type;
	size_t vp_length;
	union {
		uint8_t const *octets;
		uint32_t integer;
		uint8_t byte;
		uint8_t ether[6];
		uint8_t ipaddr[4];
		uint8_t ipv6addr[16];
		uint8_t ipv6prefix[18];
		uint8_t ipv4prefix[6];
	} data;
} VALUE_PAIR;

/* libradius.h: five pointers there; room to spare here, since fr_cursor_init() clears and fills it in place. */
typedef struct vp_cursor {
	void *room[8];
} vp_cursor_t;

/* modules.h: the table that radiusd finds by the name rlm_ippool_rs. */
typedef int (*instantiate_t)(CONF_SECTION *mod_cs, void *instance);
typedef int (*detach_t)(void *instance);
typedef rlm_rcode_t (*packetmethod)(void *instance, REQUEST *request);

typedef struct module_t {
	uint64_t magic;
	char const *name;
	int type;
	size_t inst_size;
	CONF_PARSER const *config;
	instantiate_t bootstrap;
	instantiate_t instantiate;
	detach_t detach;
	packetmethod methods[10];
} module_t;

/* conffile.h */
extern bool check_config;
CONF_ITEM *cf_item_find_next(CONF_SECTION const *section, CONF_ITEM const *item);
bool cf_item_is_section(CONF_ITEM const *item);
bool cf_item_is_pair(CONF_ITEM const *item);
CONF_PAIR *cf_item_to_pair(CONF_ITEM const *item);
CONF_SECTION *cf_item_to_section(CONF_ITEM const *item);
char const *cf_pair_attr(CONF_PAIR const *pair);
char const *cf_pair_value(CONF_PAIR const *pair);
int cf_pair_lineno(CONF_PAIR const *pair);
char const *cf_pair_filename(CONF_PAIR const *pair);
char const *cf_section_name1(CONF_SECTION const *cs);
char const *cf_section_name2(CONF_SECTION const *cs);
int cf_section_lineno(CONF_SECTION const *section);
char const *cf_section_filename(CONF_SECTION const *section);
CONF_ITEM *cf_section_to_item(CONF_SECTION const *cs);
CONF_SECTION *cf_top_section(CONF_SECTION *cs);

/* log.h */
extern log_lvl_t rad_debug_lvl;
int radlog(log_type_t lvl, char const *fmt, ...);
void radlog_request(log_type_t type, log_lvl_t lvl, REQUEST *request, char const *msg, ...);

/* radiusd.h */
void module_failure_msg(REQUEST *request, char const *fmt, ...);
int request_data_add(REQUEST *request, void *unique_ptr, int unique_int, void *opaque, bool free_opaque);
void *request_data_get(REQUEST *request, void *unique_ptr, int unique_int);
void *request_data_reference(REQUEST *request, void *unique_ptr, int unique_int);

int radius_evaluate_cond(REQUEST *request, int modreturn, int depth, fr_cond_t const *c);
void exec_trigger(REQUEST *request, CONF_SECTION *cs, char const *name, int quench);

/* parser.h; modcall.h: in the server's program itself, which exports it. */
ssize_t fr_condition_tokenize(TALLOC_CTX *ctx, CONF_ITEM *ci, char const *start, fr_cond_t **head, char const **error, int flag);
int modcall_pass2_condition(fr_cond_t *c);

/* tmpl.h: struct vp_tmpl_t, its beginning; map.h. Read while the module is loaded, and `next` for each grant. */
typedef struct vp_tmpl_t {
	int type;
	char const *name;
} vp_tmpl_t;
typedef struct vp_map {
	vp_tmpl_t *lhs;
	vp_tmpl_t *rhs;
	FR_TOKEN op;
	CONF_ITEM *ci;
	struct vp_map *next;
} vp_map_t;
typedef int (*map_validate_t)(vp_map_t *map, void *ctx);
typedef int (*radius_map_getvalue_t)(TALLOC_CTX *ctx, VALUE_PAIR **out, REQUEST *request, vp_map_t const *map, void *uctx);

/* map.h; modcall.h. */
int map_afrom_cs(vp_map_t **out, CONF_SECTION *cs, pair_lists_t dst_list_def, pair_lists_t src_list_def, map_validate_t validate, void *ctx, unsigned int max);
int map_to_request(REQUEST *request, vp_map_t const *map, radius_map_getvalue_t func, void *ctx);
int map_to_vp(TALLOC_CTX *ctx, VALUE_PAIR **out, REQUEST *request, vp_map_t const *map, void *uctx);
int modcall_fixup_update(vp_map_t *map, void *ctx);

/* tmpl.h */
VALUE_PAIR **radius_list(REQUEST *request, pair_lists_t list);
TALLOC_CTX *radius_list_ctx(REQUEST *request, pair_lists_t list_name);

/* xlat.h */
typedef size_t (*xlat_escape_t)(REQUEST *request, char *out, size_t outlen, char const *in, void *arg);
typedef ssize_t (*xlat_func_t)(void *instance, REQUEST *request, char const *fmt, char *out, size_t outlen);
ssize_t xlat_tokenize(TALLOC_CTX *ctx, char *fmt, xlat_exp_t **head, char const **error);
ssize_t radius_axlat_struct(char **out, REQUEST *request, xlat_exp_t const *xlat, xlat_escape_t escape, void *ctx);
int xlat_register(char const *module, xlat_func_t func, xlat_escape_t escape, void *instance);

/* libradius.h */
DICT_ATTR const *dict_attrbyname(char const *attr);
VALUE_PAIR *fr_cursor_init(vp_cursor_t *cursor, VALUE_PAIR *const *node);
VALUE_PAIR *fr_cursor_next(vp_cursor_t *cursor);
VALUE_PAIR *fr_pair_find_by_num(VALUE_PAIR *head, unsigned int attr, unsigned int vendor, int8_t tag);
void fr_pair_delete_by_num(VALUE_PAIR **head, unsigned int attr, unsigned int vendor, int8_t tag);
VALUE_PAIR *fr_pair_make(TALLOC_CTX *ctx, VALUE_PAIR **vps, char const *attribute, char const *value, FR_TOKEN op);
void fr_pair_list_free(VALUE_PAIR **head);
char const *fr_strerror(void);

/* talloc.h (libtalloc 2): the functions behind its macros. */
void *talloc_named_const(void const *context, size_t size, char const *name);
int _talloc_free(void *ptr, char const *location);
void _talloc_set_destructor(void const *ptr, int (*destructor)(void *));

#endif
