// What can be checked only once all elements are there.
#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "twin/dtdl/workbench.h"

namespace penstock::twin::dtdl {
namespace {

// The metamodel allows 12 at most; deeper walks would only use up the stack.
constexpr int kLevelsMax = 500;

bool reserved(std::string_view id) {
  bool found = false;
  for (const ContextFact& context : contexts())
    for_words(context.reserved_prefixes,
              [&](std::string_view prefix) { found |= id.starts_with(prefix); });
  return found;
}

constexpr uint32_t kNowhere = UINT32_MAX;

// The elements as a graph: what the walks need, without looking up names.
struct Edge {
  uint32_t property;  ///< index into the names
  uint32_t target;    ///< node; kNowhere: a standard element, or not defined
  const ElementFact* standard;
  const Link* link;
};
struct Node {
  const Element* element;
  const ClassFact* fact;
  std::vector<Edge> edges;
};

class Checker {
 public:
  explicit Checker(Workbench& bench) : bench_(bench), model_(bench.result.model) { make_graph(); }

  void run() {
    note_spoiled();
    for (const Node& node : nodes_)
      if (!spoiled(node)) references(node);
    note_spoiled();
    // What follows looks through all bases of an interface: with a circle or a chain without end
    // among them it would mean nothing, and take long to say so.
    const size_t errors = bench_.result.errors.size();
    for (const DescendantFact& fact : descendants())
      if (!fact.import_properties.empty()) descend(fact);
    if (bench_.result.errors.size() > errors) return;
    for (const Node& node : nodes_) {
      if (spoiled(node)) continue;
      unique_names(node);
      for (const std::string_view cotype : node.element->cotypes)
        for (std::string_view one = cotype; !one.empty();) {
          supplemental(*node.element, one);
          const SupplementalFact* fact = find_supplemental(one);
          one = fact ? fact->parent : std::string_view();
        }
    }
    for (const DescendantFact& fact : descendants())
      if (fact.import_properties.empty()) descend(fact);
  }

 private:
  void complain(std::string_view validation, const Element& element, std::string_view property = {},
                std::string_view value = {}, size_t offset = SIZE_MAX) {
    bench_.complain(validation, element.document, offset == SIZE_MAX ? element.offset : offset,
                    element.id, property, value);
  }

  // -- the graph

  void make_graph() {
    nodes_.reserve(model_.elements.size());
    index_.reserve(model_.elements.size());
    for (const auto& [id, element] : model_.elements) {
      index_.emplace(id, static_cast<uint32_t>(nodes_.size()));
      nodes_.push_back({&element, find_class(element.type, element.version), {}});
    }
    for (Node& node : nodes_)
      for (const auto& [property, links] : node.element->objects) {
        const uint32_t name = name_of(property);
        for (const Link& link : links) {
          const uint32_t there = find(link.id);
          node.edges.push_back(
              {name, there, there == kNowhere ? find_element(link.id) : nullptr, &link});
        }
      }
  }

  // Names come in few kinds; comparing lengths first makes the search quick.
  uint32_t name_of(std::string_view property) {
    const auto known = std::find(names_.begin(), names_.end(), property);
    if (known != names_.end()) return static_cast<uint32_t>(known - names_.begin());
    names_.push_back(property);
    return static_cast<uint32_t>(names_.size() - 1);
  }
  uint32_t find(std::string_view id) const {
    const auto found = index_.find(id);
    return found == index_.end() ? kNowhere : found->second;
  }
  const Element* target(const Edge& edge) const {
    return edge.target == kNowhere ? nullptr : nodes_[edge.target].element;
  }

  // A document that could not be read as it is written has had its say: what follows from its
  // mistakes would only hide them.
  void note_spoiled() {
    spoiled_.resize(bench_.documents.size());
    for (const ParseError& error : bench_.result.errors) spoiled_[error.document] = true;
  }
  bool spoiled(const Node& node) const { return spoiled_[node.element->document]; }

  // -- references

  void references(const Node& node) {
    for (const Edge& edge : node.edges)
      if (edge.link->reference) reference(*node.element, edge);
  }

  void reference(const Element& element, const Edge& edge) {
    const Element* there = target(edge);
    const Link& link = *edge.link;
    const std::string_view property = names_[edge.property];
    const ElementFact* standard = edge.standard;
    if (!there && !standard) {
      if (link.term) return complain("badType", element, property, link.id, link.offset);
      if (reserved(link.id))
        return complain("undefinedReservedId", element, property, link.id, link.offset);
      return unresolved(element, property, link);
    }
    const PropertyFact* fact = find_property(element.type, element.version, property);
    if (!fact) return;
    const int version = there ? there->version : standard->version;
    const std::string_view type = there ? std::string_view(there->type)
                                        : standard->types.substr(0, standard->types.find(' '));
    const ClassFact* expected = find_class(fact->type, version);
    if (!expected || !has_word(expected->concrete_subclasses, type))
      return complain("badType", element, property, link.id, link.offset);
    if (fact->values.empty() && !(fact->versions & (1u << version)))
      complain("disallowedVersionReference", element, property, link.id, link.offset);
    if (there && there->type != "Interface" && there->home != element.home)
      complain("crossPartitionReference", element, property, there->home, link.offset);
  }

  void unresolved(const Element& element, std::string_view property, const Link& link) {
    auto& all = bench_.result.unresolved;
    if (asked_.insert(link.id).second) all.push_back(link.id);
    bench_.unresolved(element, property, link);
  }

  // -- uniqueness

  void unique_names(const Node& node) {
    const Element& element = *node.element;
    for (const PropertyFact& fact : properties_of(element.type, element.version)) {
      for_words(fact.unique_properties, [&](std::string_view key) {
        std::unordered_set<std::string_view> seen;
        unique_among(element, node, fact.name, key, "nonUniquePropertyValue", seen);
        if (element.type != "Interface" || fact.name != "contents") return;
        for (const Element* base : lineage(node))
          if (base != &element)
            unique_among(element, nodes_[find(base->id)], fact.name, key,
                         "nonUniqueImportedPropertyValue", seen);
      });
    }
    unique_supplementals(node);
  }

  void unique_among(const Element& subject, const Node& holder, std::string_view property,
                    std::string_view key, std::string_view validation,
                    std::unordered_set<std::string_view>& seen) {
    for (const Edge& edge : holder.edges) {
      if (edge.target == kNowhere || names_[edge.property] != property) continue;
      const Literal* value = target(edge)->literal(key);
      if (value && !seen.insert(value->text).second)
        complain(validation, subject, property, value->text, edge_place(subject, holder, edge));
    }
  }

  // The second of two that clash, where it stands in the subject itself.
  static size_t edge_place(const Element& subject, const Node& holder, const Edge& edge) {
    return holder.element == &subject ? edge.link->offset : subject.offset;
  }

  void unique_supplementals(const Node& node) {
    std::set<std::string> seen;
    for (const Edge& edge : node.edges) {
      const Element* child = target(edge);
      if (!child || child->cotypes.empty()) continue;
      for (const std::string_view cotype : child->cotypes)
        for (const auto& fact : supplemental_properties(cotype))
          if (const Literal* value = fact.unique ? child->literal(fact.uri) : nullptr;
              value &&
              !seen.insert(fmt::format("{} {} {}", edge.property, fact.uri, value->text)).second)
            complain("nonUniquePropertyValue", *node.element, names_[edge.property], value->text,
                     edge.link->offset);
    }
  }

  // An interface's bases, itself first. One without bases needs no look at the model.
  std::vector<const Element*> lineage(const Node& node) const {
    if (!node.element->objects.contains("extends")) return {node.element};
    return model_.lineage(node.element->id);
  }

  // -- supplemental types

  void supplemental(const Element& element, std::string_view type) {
    for (const auto& fact : supplemental_properties(type)) supplemental_value(element, fact);
    for (const auto& fact : constraints_of(type)) constraint(element, fact);
    for (const auto& fact : siblings_of(type)) sibling(element, fact);
  }

  void supplemental_value(const Element& element, const SupplementalPropertyFact& fact) {
    if (!fact.instance_property.empty()) instance(element, fact);
    const auto links = element.objects.find(fact.uri);
    if (links == element.objects.end()) return;
    for (const Link& link : links->second) {
      const ElementFact* standard = find_element(link.id);
      if (!fact.child_of.empty()) {
        if (!standard || standard->parent != fact.child_of)
          complain("wrongParent", element, fact.name, link.id, link.offset);
        continue;
      }
      if (conforms(model_, link.id, fact.type)) continue;
      const size_t from = fact.type.rfind(':') + 1;
      const std::string_view plain = fact.type.substr(from, fact.type.find(';') - from);
      const bool fits = standard && (has_word(standard->types, plain) || plain == "Unit");
      if (!fits) complain("wrongParent", element, fact.name, link.id, link.offset);
    }
  }

  // A literal that must be a value of the element's schema.
  void instance(const Element& element, const SupplementalPropertyFact& fact) {
    const Literal* value = element.literal(fact.uri);
    const auto schema = element.objects.find(fact.instance_property);
    if (!value || schema == element.objects.end() || schema->second.empty()) return;
    const std::string_view type = model_.type_of(schema->second.front().id);
    const ClassFact* numeric =
        find_class("NumericSchema", model_.version_of(schema->second.front().id));
    if (!numeric || !has_word(numeric->concrete_subclasses, type))
      return complain("nonConformantPropertyValue", element, fact.name, value->text);
    const bool fractional = type == "Double" || type == "Float" || type == "Decimal";
    if (!fractional && value->kind != Kind::kInteger)
      complain("nonConformantPropertyValue", element, fact.name, value->text);
  }

  bool conforms_any(std::string_view id, std::string_view types) const {
    bool fits = types.empty();
    for_words(types, [&](std::string_view one) { fits |= conforms(model_, id, one); });
    return fits;
  }

  void constraint(const Element& element, const ConstraintFact& fact) {
    if (fact.inverse) return inverse_constraint(element, fact);
    if (!fact.sibling_keyref.empty()) return sibling_parent(element, fact);
    const auto links = element.objects.find(fact.property);
    if (links == element.objects.end()) return;
    for (const Link& link : links->second) {
      if (!model_.find(link.id) && !find_element(link.id)) continue;
      if (!conforms_any(link.id, fact.required_types))
        complain("notRequiredType", element, fact.property, link.id, link.offset);
      if (!fact.required_values.empty() && !has_word(fact.required_values, link.id))
        complain("notRequiredValue", element, fact.property, link.id, link.offset);
    }
  }

  void inverse_constraint(const Element& element, const ConstraintFact& fact) {
    const Element* parent = model_.find(element.parent);
    if (!parent) return;
    if (!conforms_any(parent->id, fact.required_types))
      return complain("parentMissingCotype", *parent, fact.property, element.id);
    bool other = false, wanted = fact.some_other_type.empty();
    if (const auto links = parent->objects.find(fact.property); links != parent->objects.end())
      for (const Link& link : links->second)
        if (const Element* one = model_.find(link.id); one && one != &element) {
          other |= !fact.none_other_type.empty() && one->is(fact.none_other_type);
          wanted |= !fact.some_other_type.empty() && one->is(fact.some_other_type);
        }
    if (other) complain("siblingDuplicatesCotype", *parent, fact.property, element.id);
    if (!wanted) complain("siblingMissingCotype", *parent, fact.property, element.id);
  }

  // In the element's interface, its bases, or one that extends it and so has both.
  const Element* sibling_of(const Element& element, std::string_view key, std::string_view value) {
    for (const Element* holder : family(element.home))
      if (const auto links = holder->objects.find("contents"); links != holder->objects.end())
        for (const Link& link : links->second)
          if (const Element* one = model_.find(link.id); one && one->text(key) == value) return one;
    return nullptr;
  }

  const std::vector<const Element*>& family(const std::string& home) {
    const auto known = families_.find(home);
    if (known != families_.end()) return known->second;
    std::vector<const Element*>& all = families_[home];
    all = model_.lineage(home);
    const Element* base = model_.find(home);
    for (const auto& [id, element] : model_.elements) {
      if (element.type != "Interface" || id == home || !element.objects.contains("extends"))
        continue;
      const auto line = model_.lineage(id);
      if (std::find(line.begin(), line.end(), base) == line.end()) continue;
      for (const Element* one : line)
        if (std::find(all.begin(), all.end(), one) == all.end()) all.push_back(one);
    }
    return all;
  }

  // What an override stands in for must be of its schema: a unit, of the unit's enumeration.
  void sibling_parent(const Element& element, const ConstraintFact& fact) {
    const Element* target =
        sibling_of(element, fact.sibling_key, element.text(fact.sibling_keyref));
    const auto schema = element.objects.find(fact.property);
    if (!target || schema == element.objects.end() || schema->second.empty()) return;
    const auto overridden = target->objects.find(element.text(fact.sibling_parent_of));
    if (overridden == target->objects.end() || overridden->second.empty()) return;
    const ElementFact* value = find_element(overridden->second.front().id);
    if (!value || value->parent != schema->second.front().id)
      complain("siblingPropertyMismatch", element, fact.property, schema->second.front().id);
  }

  void sibling(const Element& element, const SiblingFact& fact) {
    const std::string wanted = element.text(fact.keyref);
    if (wanted.empty()) return;
    const std::string_view annotates = "annotates";
    const Element* target = sibling_of(element, fact.key, wanted);
    if (!target) return;  // an interface that extends this one may bring it
    if (!conforms_any(target->id, fact.required_types))
      return complain("notSiblingRequiredType", element, annotates, wanted);
    if (!fact.disallowed_type.empty() && target->is(fact.disallowed_type))
      complain("disallowedType", element, annotates, wanted);
    if (fact.supplemental_property.empty()) return;
    const std::string property = element.text(fact.supplemental_property);
    if (property.starts_with("dtmi:dtdl:property:") && element.version > 2)
      complain("matchingPropertyNotSupplemental", element, annotates, wanted);
    else if (!target->objects.contains(property) && !target->literals.contains(property))
      complain("noMatchingSupplementalProperty", element, annotates, wanted);
    if (!fact.unique_reference.empty()) unique_reference(element, fact, wanted);
  }

  void unique_reference(const Element& element, const SiblingFact& fact, std::string_view wanted) {
    const Element* home = model_.find(element.home);
    if (!home) return;
    for (const Element* holder : model_.lineage(home->id))
      if (const auto links = holder->objects.find("contents"); links != holder->objects.end())
        for (const Link& link : links->second)
          if (const Element* one = model_.find(link.id);
              one && one != &element && one->text(fact.keyref) == wanted &&
              one->text(fact.unique_reference) == element.text(fact.unique_reference))
            return complain("multipleReference", element, fact.key, wanted);
  }

  // -- depth, count, cycles

  struct Reach {
    int64_t depth = 0, count = 0;
    bool excluded = false, recursive = false;
    enum class State : uint8_t { kNew, kOpen, kDone } state = State::kNew;
  };
  struct Walk {
    const DescendantFact& fact;
    std::vector<Reach> known;  ///< by node
    std::vector<bool> listed;  ///< by name
    bool contents = false;     ///< "contents" is listed
  };

  void descend(const DescendantFact& fact) {
    if (fact.root != fact.defining && fact.defining == "ComplexSchema") return;  // said of the base
    const ClassFact* root = find_class(fact.root, fact.version);
    if (!root) return;
    Walk walk{fact, {}, {}, has_word(fact.properties, "contents")};
    std::unordered_map<const ClassFact*, bool> roots;  // whether elements of a class are roots
    for (const std::string_view name : names_)
      walk.listed.push_back(has_word(fact.properties, name));
    for (uint32_t i = 0; i < nodes_.size(); ++i) {
      const Node& node = nodes_[i];
      if (node.element->version != fact.version || spoiled(node)) continue;
      const auto [known, fresh] = roots.try_emplace(node.fact);
      if (fresh) known->second = has_word(root->concrete_subclasses, node.fact->name);
      if (!known->second) continue;
      if (!fact.datatype_property.empty()) {
        datatypes(*node.element, fact);
        continue;
      }
      if (walk.known.empty()) walk.known.resize(nodes_.size());
      judge(*node.element, fact, reach_of(walk, i, 0));
    }
  }

  void judge(const Element& element, const DescendantFact& fact, const Reach& reach) {
    const int64_t depth_max = fact.depth_max[element.limits];
    const int64_t count_max = fact.count_max[element.limits];
    const std::string kind = fact.narrow ? "Narrow" : "Wide";
    if (reach.recursive && !fact.allow_self)
      complain("recursiveStructure" + kind, element, fact.properties);
    else if (depth_max >= 0 && reach.depth > depth_max)
      complain("excessiveDepth" + kind, element, fact.properties);
    else if (count_max >= 0 && reach.count > count_max)
      complain("excessiveCount" + kind, element, fact.properties);
    if (reach.excluded) complain("excludedType", element, fact.properties);
  }

  Reach reach_of(Walk& walk, uint32_t at, int level) {
    using State = Reach::State;
    if (walk.known[at].state == State::kDone) return walk.known[at];
    if (level > kLevelsMax || walk.known[at].state == State::kOpen) {
      Reach circle;
      circle.recursive = true;
      return circle;
    }
    walk.known[at].state = State::kOpen;
    const Node& node = nodes_[at];
    Reach reach;
    for (const Edge& edge : node.edges) {
      const bool listed = walk.listed[edge.property];
      if (!walk.fact.narrow || listed) step(walk, edge, listed, level, reach);
    }
    // An interface has the contents of its bases too.
    if (walk.contents && node.element->type == "Interface")
      for (const Element* base : lineage(node))
        if (base != node.element)
          for (const Edge& edge : nodes_[find(base->id)].edges)
            if (names_[edge.property] == "contents") step(walk, edge, true, level, reach);
    reach.state = State::kDone;
    walk.known[at] = reach;
    return reach;
  }

  // One link of the walk, added to `reach`.
  void step(Walk& walk, const Edge& edge, bool listed, int level, Reach& reach) {
    Reach inner;
    std::string_view type;
    const std::string_view excluded = walk.fact.exclude_type;
    if (edge.target != kNowhere) {
      inner = reach_of(walk, edge.target, level + 1);
      type = nodes_[edge.target].element->type;
    } else if (edge.standard) {
      if (!walk.fact.narrow) inner.depth = edge.standard->depth;
      type = edge.standard->types.substr(0, edge.standard->types.find(' '));
      inner.excluded = !excluded.empty() && has_word(edge.standard->inside, excluded);
    }
    reach.recursive |= inner.recursive;
    reach.depth = std::max(reach.depth, inner.depth + (listed ? 1 : 0));
    reach.count = std::min<int64_t>(reach.count + inner.count + (listed ? 1 : 0), INT32_MAX);
    reach.excluded |= inner.excluded || (!excluded.empty() && type == excluded);
  }

  void datatypes(const Element& element, const DescendantFact& fact) {
    const auto schema = element.objects.find(fact.datatype_property);
    if (schema == element.objects.end() || schema->second.empty()) return;
    const std::string_view type = model_.type_of(schema->second.front().id);
    for (const auto& [property, links] : element.objects)
      for (const Link& link : links) {
        const Element* child = model_.find(link.id);
        const Literal* value = child ? child->literal(fact.properties) : nullptr;
        if (!value) continue;
        const bool fits = (type == "Integer" && value->kind == Kind::kInteger) ||
                          (type == "String" && value->kind == Kind::kString);
        if (!fits) complain("nonConformantDatatype", *child, fact.properties, value->text);
      }
  }

  Workbench& bench_;
  const Model& model_;
  std::map<std::string, std::vector<const Element*>> families_;
  std::vector<Node> nodes_;
  std::unordered_map<std::string_view, uint32_t> index_;
  std::vector<std::string_view> names_;
  std::vector<bool> spoiled_;                   // by document
  std::unordered_set<std::string_view> asked_;  // unresolved so far
};

}  // namespace

bool conforms(const Model& model, std::string_view id, std::string_view class_or_type) {
  constexpr std::string_view kClass = "dtmi:dtdl:class:";
  if (class_or_type.starts_with(kClass)) {
    const size_t semicolon = class_or_type.find(';');
    const int version = class_or_type.back() - '0';
    const ClassFact* fact =
        find_class(class_or_type.substr(kClass.size(), semicolon - kClass.size()), version);
    return fact && model.version_of(id) == version &&
           has_word(fact->concrete_subclasses, model.type_of(id));
  }
  const Element* element = model.find(id);
  return element && element->is(class_or_type);
}

void check_model(Workbench& bench) { Checker(bench).run(); }

}  // namespace penstock::twin::dtdl
