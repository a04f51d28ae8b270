#pragma once
// Operands of wgmma.mma_async, spelled out once: PTX numbers every accumulator, 4·NI of them, and inline assembly has
// no loops. GANTRY_WGMMA_D<n> is the text of the first n operands, GANTRY_WGMMA_C<NI> binds them to `c[NI][4]`.

#define GANTRY_WGMMA_D8 "%0,%1,%2,%3,%4,%5,%6,%7"
#define GANTRY_WGMMA_D16 GANTRY_WGMMA_D8 ",%8,%9,%10,%11,%12,%13,%14,%15"
#define GANTRY_WGMMA_D32 GANTRY_WGMMA_D16 ",%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define GANTRY_WGMMA_D40 GANTRY_WGMMA_D32 ",%32,%33,%34,%35,%36,%37,%38,%39"
#define GANTRY_WGMMA_D64                                             \
  GANTRY_WGMMA_D32                                                   \
  ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47" \
  ",%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define GANTRY_WGMMA_D128                                                        \
  GANTRY_WGMMA_D64                                                               \
  ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79"             \
  ",%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95"             \
  ",%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111" \
  ",%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"

#define GANTRY_WGMMA_ROW(i) "+f"(c[i][0]), "+f"(c[i][1]), "+f"(c[i][2]), "+f"(c[i][3])
#define GANTRY_WGMMA_ROWS2(i) GANTRY_WGMMA_ROW(i), GANTRY_WGMMA_ROW((i) + 1)
#define GANTRY_WGMMA_ROWS4(i) GANTRY_WGMMA_ROWS2(i), GANTRY_WGMMA_ROWS2((i) + 2)
#define GANTRY_WGMMA_ROWS8(i) GANTRY_WGMMA_ROWS4(i), GANTRY_WGMMA_ROWS4((i) + 4)
#define GANTRY_WGMMA_C2 GANTRY_WGMMA_ROWS2(0)
#define GANTRY_WGMMA_C4 GANTRY_WGMMA_ROWS4(0)
#define GANTRY_WGMMA_C8 GANTRY_WGMMA_ROWS8(0)
#define GANTRY_WGMMA_C10 GANTRY_WGMMA_C8, GANTRY_WGMMA_ROWS2(8)
#define GANTRY_WGMMA_C16 GANTRY_WGMMA_C8, GANTRY_WGMMA_ROWS8(8)
#define GANTRY_WGMMA_C32 GANTRY_WGMMA_C16, GANTRY_WGMMA_ROWS8(16), GANTRY_WGMMA_ROWS8(24)
