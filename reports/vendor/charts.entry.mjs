// What the report draws with, and nothing else of ECharts.
import { init, use } from "echarts/core";
import { BarChart, ScatterChart, TreemapChart } from "echarts/charts";
import { AriaComponent, GridComponent, MarkLineComponent, TooltipComponent } from "echarts/components";
import { SVGRenderer } from "echarts/renderers";

use([BarChart, ScatterChart, TreemapChart]);
use([AriaComponent, GridComponent, MarkLineComponent, TooltipComponent, SVGRenderer]);
globalThis.charts = { init };
