/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

#include "engine/poolfile.h"

enum { YAML_DEPTH_MAX = 40, YAML_NODES_MAX = 100000, YAML_ANCHORS_MAX = 1000, YAML_FILE_MAX = 4 << 20 };

struct reader {
	yaml_document_t document;
	struct origin *origin;
	struct error *error;
	size_t nodes; /* converted so far: aliases of aliases grow without end */
};

int origin_line(const struct origin *origin, struct json_object *value)
{
	for (size_t i = 0; origin && value && i < origin->count; i++)
		if (origin->marks[i].value == value)
			return origin->marks[i].line;
	return 0;
}

struct json_object *origin_string(const struct origin *origin, const char *text, int from_line)
{
	struct origin_mark *found = NULL;

	for (size_t i = 0; origin && i < origin->count; i++) {
		struct origin_mark *m = &origin->marks[i];
		if (m->line >= from_line && json_object_is_type(m->value, json_type_string) &&
		    !strcmp(json_object_get_string(m->value), text) && (!found || m->line < found->line))
			found = m;
	}
	return found ? found->value : NULL;
}

void origin_fini(struct origin *origin)
{
	for (size_t i = 0; i < origin->count; i++)
		json_object_put(origin->marks[i].value);
	free(origin->marks);
	free(origin->file);
	*origin = (struct origin){};
}

static void origin_mark(struct origin *origin, struct json_object *value, int line)
{
	struct origin_mark *grown = origin->marks;

	/* Room for twice as many at each power of two. */
	if (!(origin->count & (origin->count - 1)))
		grown = reallocarray(grown, origin->count ? 2 * origin->count : 1, sizeof(*grown));
	if (!grown)
		return;
	origin->marks = grown;
	grown[origin->count++] = (struct origin_mark){json_object_get(value), line};
}

static int line_of(const yaml_node_t *node)
{
	return node->start_mark.line + 1;
}

static int too_much(struct reader *r, int line, const char *sentence)
{
	return error_set(r->error, -EINVAL, "%s:%d: %s", r->origin->file, line, sentence);
}

static int convert(struct reader *r, const yaml_node_t *node, int line, int depth,
		   struct json_object **ret);

static int convert_pair(struct reader *r, struct json_object *object, const yaml_node_pair_t *pair,
			int depth)
{
	yaml_node_t *key = yaml_document_get_node(&r->document, pair->key);
	yaml_node_t *value = yaml_document_get_node(&r->document, pair->value);
	struct json_object *child;
	const char *name;
	int e;

	if (key->type != YAML_SCALAR_NODE)
		return error_set(r->error, -EINVAL, "%s:%d: a key must be a word", r->origin->file,
				 line_of(key));
	name = (const char *)key->data.scalar.value;
	if (json_object_object_get_ex(object, name, &child))
		return error_set(r->error, -EINVAL, "%s:%d: '%s' is here twice; it is on line %d already",
				 r->origin->file, line_of(key), name, origin_line(r->origin, child));
	e = convert(r, value, line_of(key), depth, &child);
	return e < 0 ? e : json_object_object_add(object, name, child);
}

static int convert_mapping(struct reader *r, const yaml_node_t *node, int depth, struct json_object *object)
{
	int e = 0;

	for (yaml_node_pair_t *p = node->data.mapping.pairs.start; !e && p < node->data.mapping.pairs.top;
	     p++)
		e = convert_pair(r, object, p, depth);
	return e;
}

static int convert_sequence(struct reader *r, const yaml_node_t *node, int depth, struct json_object *array)
{
	for (yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top;
	     i++) {
		yaml_node_t *item = yaml_document_get_node(&r->document, *i);
		struct json_object *child;
		int e = convert(r, item, line_of(item), depth, &child);
		if (e < 0)
			return e;
		json_object_array_add(array, child);
	}
	return 0;
}

static struct json_object *convert_scalar(const yaml_node_t *node)
{
	const char *text = (const char *)node->data.scalar.value;

	if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	    (!strcmp(text, "~") || !strcmp(text, "null")))
		text = "";
	return json_object_new_string(text);
}

static int convert(struct reader *r, const yaml_node_t *node, int line, int depth, struct json_object **ret)
{
	struct json_object *json;
	int e = 0;

	if (depth > YAML_DEPTH_MAX)
		return too_much(r, line, "nested too deeply");
	if (r->nodes++ > YAML_NODES_MAX)
		return too_much(r, line, "too many values for a pool file");
	if (node->type == YAML_MAPPING_NODE)
		e = convert_mapping(r, node, depth + 1, json = json_object_new_object());
	else if (node->type == YAML_SEQUENCE_NODE)
		e = convert_sequence(r, node, depth + 1, json = json_object_new_array());
	else
		json = convert_scalar(node);
	if (e < 0) {
		json_object_put(json);
		return e;
	}
	origin_mark(r->origin, json, line);
	*ret = json;
	return 0;
}

/* A tab where indentation belongs is the commonest cause of libyaml's least helpful sentence. */
static bool indented_by_tab(const char *text, size_t line)
{
	while (line-- && text) {
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	return text && text[strspn(text, " ")] == '\t';
}

static int syntax_error(struct reader *r, const yaml_parser_t *parser, const char *text)
{
	size_t line = parser->problem_mark.line;

	if (indented_by_tab(text, line))
		return error_set(r->error, -EINVAL, "%s:%zu: a tab cannot indent YAML; use spaces",
				 r->origin->file, line + 1);
	if (parser->context)
		return error_set(r->error, -EINVAL, "%s:%zu: not valid YAML: %s, %s", r->origin->file,
				 line + 1, parser->context, parser->problem);
	return error_set(r->error, -EINVAL, "%s:%zu: not valid YAML: %s", r->origin->file, line + 1,
			 parser->problem ? parser->problem : "unreadable");
}

struct measure {
	size_t depth, nodes, anchors;
};

static int measure_event(struct reader *r, struct measure *m, const yaml_event_t *event)
{
	int line = event->start_mark.line + 1;
	const yaml_char_t *anchor = NULL;

	if (event->type == YAML_MAPPING_END_EVENT || event->type == YAML_SEQUENCE_END_EVENT)
		m->depth--;
	else if (event->type == YAML_MAPPING_START_EVENT || event->type == YAML_SEQUENCE_START_EVENT)
		m->depth++;
	if (event->type == YAML_MAPPING_START_EVENT)
		anchor = event->data.mapping_start.anchor;
	else if (event->type == YAML_SEQUENCE_START_EVENT)
		anchor = event->data.sequence_start.anchor;
	else if (event->type == YAML_SCALAR_EVENT)
		anchor = event->data.scalar.anchor;
	if (m->depth > YAML_DEPTH_MAX)
		return too_much(r, line, "nested too deeply");
	if (m->nodes++ > YAML_NODES_MAX)
		return too_much(r, line, "too many values for a pool file");
	if (anchor && m->anchors++ == YAML_ANCHORS_MAX)
		return too_much(r, line, "too many anchors for a pool file");
	return 0;
}

/* A look at the events first: libyaml's loader takes the square of the depth and of the anchors in time. */
static int measure(struct reader *r, const char *text, size_t len)
{
	struct measure m = {};
	yaml_parser_t parser;
	yaml_event_t event;
	bool over = false;
	int e = 0;

	if (!yaml_parser_initialize(&parser))
		return error_errno(r->error, ENOMEM, "%s", r->origin->file);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	while (e == 0 && !over) {
		if (!yaml_parser_parse(&parser, &event)) {
			e = syntax_error(r, &parser, text);
			break;
		}
		e = measure_event(r, &m, &event);
		over = event.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return e;
}

/* The file must end after its first document. */
static int second_document(struct reader *r, yaml_parser_t *parser, const char *text)
{
	yaml_document_t next;
	yaml_node_t *root;
	int e = 0;

	if (!yaml_parser_load(parser, &next))
		return syntax_error(r, parser, text);
	root = yaml_document_get_root_node(&next);
	if (root)
		e = error_set(r->error, -EINVAL, "%s:%d: a second document; a pool file has one",
			      r->origin->file, line_of(root));
	yaml_document_delete(&next);
	return e;
}

static int parse(struct reader *r, yaml_parser_t *parser, const char *text, struct json_object **ret)
{
	_cleanup_(json_put_p) struct json_object *json = NULL;
	yaml_node_t *root;
	int e;

	if (!yaml_parser_load(parser, &r->document))
		return syntax_error(r, parser, text);
	root = yaml_document_get_root_node(&r->document);
	if (!root)
		e = error_set(r->error, -EINVAL, "%s:1: the file is empty; it must begin with 'pools:'",
			      r->origin->file);
	else
		e = convert(r, root, line_of(root), 0, &json);
	yaml_document_delete(&r->document);
	if (e == 0)
		e = second_document(r, parser, text);
	if (e == 0)
		*ret = json_object_get(json);
	return e;
}

/* With a NUL after it. A file of YAML_FILE_MAX bytes is too large. */
static int read_text(const char *path, char **ret, size_t *ret_len, struct error *error)
{
	_cleanup_(close_p) int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_(free_p) char *text = NULL;
	size_t len = 0, room = 0;
	ssize_t n = 1;

	if (fd < 0)
		return error_errno(error, errno, "%s", path);
	while (n > 0 && len < YAML_FILE_MAX) {
		if (len == room) {
			char *grown = realloc(text, (room = room ? 2 * room : 4096) + 1);
			if (!grown)
				return error_errno(error, ENOMEM, "%s", path);
			text = grown;
		}
		n = read(fd, text + len, room - len);
		len += n > 0 ? n : 0;
	}
	if (n < 0)
		return error_errno(error, errno, "%s", path);
	if (n > 0)
		return error_set(error, -EFBIG, "%s: too large for a pool file", path);
	text[len] = '\0';
	*ret = text;
	*ret_len = len;
	text = NULL;
	return 0;
}

int yaml_read(const char *path, struct json_object **ret, struct origin *origin, struct error *error)
{
	struct reader r = {.origin = origin, .error = error};
	_cleanup_(free_p) char *text = NULL;
	yaml_parser_t parser;
	size_t len = 0;
	int e = read_text(path, &text, &len, error);

	if (e < 0)
		return e;
	origin->file = strdup(path);
	if (!origin->file)
		return error_errno(error, ENOMEM, "%s", path);
	e = measure(&r, text, len);
	if (e < 0)
		return e;
	if (!yaml_parser_initialize(&parser))
		return error_errno(error, ENOMEM, "%s", path);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	e = parse(&r, &parser, text, ret);
	yaml_parser_delete(&parser);
	return e;
}

/* ---- writing --------------------------------------------------------------------------------- */

static int print_node(yaml_document_t *doc, struct json_object *json);

static int print_scalar(yaml_document_t *doc, struct json_object *json)
{
	const char *text = json ? json_object_get_string(json) : "";

	return yaml_document_add_scalar(doc, NULL, (const yaml_char_t *)text, -1, YAML_ANY_SCALAR_STYLE);
}

/* A mapping of few plain words stands on one line. */
static yaml_mapping_style_t style_of(struct json_object *json)
{
	if (json_object_object_length(json) > 6)
		return YAML_BLOCK_MAPPING_STYLE;
	json_object_object_foreach(json, key, value) {
		if (strlen(key) > 64 || json_object_is_type(value, json_type_object) ||
		    json_object_is_type(value, json_type_array))
			return YAML_BLOCK_MAPPING_STYLE;
	}
	return YAML_FLOW_MAPPING_STYLE;
}

static int print_mapping(yaml_document_t *doc, struct json_object *json)
{
	int node = yaml_document_add_mapping(doc, NULL, style_of(json));

	json_object_object_foreach(json, key, value) {
		int k = yaml_document_add_scalar(doc, NULL, (const yaml_char_t *)key, -1,
						 YAML_ANY_SCALAR_STYLE);
		int v = print_node(doc, value);
		if (!node || !k || !v || !yaml_document_append_mapping_pair(doc, node, k, v))
			return 0;
	}
	return node;
}

static int print_sequence(yaml_document_t *doc, struct json_object *json)
{
	int node = yaml_document_add_sequence(doc, NULL, YAML_ANY_SEQUENCE_STYLE);

	for (size_t i = 0; i < json_object_array_length(json); i++) {
		int item = print_node(doc, json_object_array_get_idx(json, i));
		if (!node || !item || !yaml_document_append_sequence_item(doc, node, item))
			return 0;
	}
	return node;
}

static int print_node(yaml_document_t *doc, struct json_object *json)
{
	if (json_object_is_type(json, json_type_object))
		return print_mapping(doc, json);
	if (json_object_is_type(json, json_type_array))
		return print_sequence(doc, json);
	return print_scalar(doc, json);
}

int yaml_print(struct json_object *json, FILE *out)
{
	yaml_emitter_t emitter;
	yaml_document_t doc;
	int ok;

	if (!yaml_emitter_initialize(&emitter))
		return -ENOMEM;
	yaml_emitter_set_output_file(&emitter, out);
	yaml_emitter_set_unicode(&emitter, 1);
	yaml_emitter_set_width(&emitter, 100);
	ok = yaml_document_initialize(&doc, NULL, NULL, NULL, 1, 1) && print_node(&doc, json) &&
	     yaml_emitter_open(&emitter) && yaml_emitter_dump(&emitter, &doc) &&
	     yaml_emitter_close(&emitter);
	yaml_emitter_delete(&emitter);
	return ok ? 0 : -EIO;
}
