#include "app/cli/table.h"

#include <gtest/gtest.h>

namespace penstock::app::cli {
namespace {

TEST(Table, AlignsByCharactersAndSetsNumbersRight) {
  Table table({"name", "value", "unit"});
  table.add({"Öl", "7.1", "bar"});
  table.add({"pressure", "-", "°C"});
  EXPECT_EQ(table.text(),
            "name      value  unit\n"
            "Öl          7.1  bar\n"
            "pressure      -  °C\n");
  EXPECT_EQ(Table({"a", "b"}).text(), "a  b\n");
}

TEST(Table, ShowsJsonAsPeopleReadIt) {
  const Json object{{"a", {{"b", 1.5}}}, {"on", true}, {"none", nullptr}, {"empty", ""}};
  EXPECT_EQ(cell(object, "a.b"), "1.5");
  EXPECT_EQ(cell(object, "on"), "yes");
  for (const char* nothing : {"none", "empty", "missing", "a.c", "on.x"})
    EXPECT_EQ(cell(object, nothing), "-") << nothing;
}

}  // namespace
}  // namespace penstock::app::cli
