#pragma once
// Which device a topic is of, by the topics of all active bindings: an immutable index that every
// shard reads without locks. A change of any binding makes a new one.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "twin/binding.h"
#include "twin/records.h"

namespace penstock::twin {

/// A tree of levels for each organisation. Patterns of one organisation do not overlap (see
/// TopicPattern::overlap; activation refuses those that would), so at most one is right.
class TopicRoutes {
 public:
  TopicRoutes() = default;
  /// Of the active versions with a topic of their own; others are passed over.
  explicit TopicRoutes(std::span<const BindingPtr> bindings);

  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] size_t size() const { return count_; }

  /// The binding whose topic this is; null: none. Its device's name replaces `device`, which keeps
  /// its memory: nothing is allocated once warm. Topics that begin with '$' are nobody's.
  const BindingDocument* find(OrganisationId organisation, std::string_view topic,
                              std::string& device) const;

 private:
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  struct Node {
    std::unordered_map<std::string, uint32_t, TextHash, std::equal_to<>> literal;  ///< node
    uint32_t any = 0;            ///< node for '+' and captures; 0: none, the root is nobody's child
    std::vector<uint32_t> ends;  ///< patterns that end here
    std::vector<uint32_t> rests;  ///< patterns whose '#' is here: for all that follows
  };
  void add(OrganisationId organisation, std::shared_ptr<const BindingDocument> document);
  const BindingDocument* walk(uint32_t node, std::string_view topic, size_t at,
                              TopicPattern::Captures& captures) const;
  const BindingDocument* first_match(const std::vector<uint32_t>& patterns, std::string_view topic,
                                     TopicPattern::Captures& captures) const;

  std::vector<Node> nodes_;
  std::unordered_map<uint32_t, uint32_t> roots_;                   ///< organisation -> node
  std::vector<std::shared_ptr<const BindingDocument>> documents_;  ///< by pattern; kept alive here
  size_t count_ = 0;
};

}  // namespace penstock::twin
