#pragma once
// The interfaces of an organisation as a graph: who extends, contains, or points at whom. Values;
// pure; any thread.

#include <compare>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "twin/dtdl/parser.h"
#include "twin/model_changes.h"
#include "twin/records.h"

namespace penstock::twin {

/// One interface names another one.
struct ModelEdge {
  enum class Kind : uint8_t { kExtends, kComponent, kRelationship, kSchema };
  std::string from, to;  ///< `from` names `to`
  Kind kind = Kind::kExtends;
  std::string name;  ///< of the component, relationship or content; empty for extends
  friend auto operator<=>(const ModelEdge&, const ModelEdge&) = default;
};
[[nodiscard]] std::string_view name(ModelEdge::Kind kind);  ///< "extends", "component", …

class ModelGraph {
 public:
  /// Parses all documents as one set: about 0.3 ms an interface.
  explicit ModelGraph(std::span<const ModelPtr> models);

  [[nodiscard]] ModelPtr find(std::string_view dtmi) const;  ///< null: not known
  [[nodiscard]] const std::map<std::string, ModelPtr, std::less<>>& models() const {
    return models_;
  }
  [[nodiscard]] const dtdl::Model& elements() const { return elements_; }
  /// All edges, by who names whom. A relationship's target may be an interface that nobody knows.
  [[nodiscard]] const std::vector<ModelEdge>& edges() const { return edges_; }

  /// The interfaces that name `dtmi`, one edge each way of naming.
  [[nodiscard]] std::vector<ModelEdge> users_of(std::string_view dtmi) const;
  /// `dtmi` and everything it needs to be understood: bases, components, schemas of others; with
  /// targets of relationships where `targets`. Only known ones, in the order of identifiers.
  [[nodiscard]] std::set<std::string, std::less<>> needs_of(std::string_view dtmi,
                                                            bool targets = false) const;
  /// What it needs and what needs it, up to `depth` steps, relationships included.
  [[nodiscard]] std::set<std::string, std::less<>> around(std::string_view dtmi,
                                                          size_t depth) const;
  [[nodiscard]] bool is_a(std::string_view dtmi, std::string_view base) const;

  /// The highest known version of the same interface below this one; empty: none.
  [[nodiscard]] std::string previous_version(std::string_view dtmi) const;
  /// All known versions of the same interface, lowest first.
  [[nodiscard]] std::vector<std::string> versions_of(std::string_view dtmi) const;

 private:
  std::map<std::string, ModelPtr, std::less<>> models_;
  dtdl::Model elements_;
  std::vector<ModelEdge> edges_;  // sorted, each once
};

/// Compares two known interfaces with all that they inherit and contain. kNotFound.
Result<std::vector<ModelChange>> compare_models(const ModelGraph& graph, std::string_view from,
                                                std::string_view to);

/// Whether one version of an identifier is below another: "dtmi:a:B;9" < "dtmi:a:B;10", and
/// "dtmi:a:B;1.2" < "dtmi:a:B;1.10". REQUIRES: the same identifier but for its version.
[[nodiscard]] bool version_less(std::string_view a, std::string_view b);

}  // namespace penstock::twin
